// Scaled dot product attention by tiles, without a matrix of all scores (Milakov and Gimelshein 2018; Dao et al. 2022).
#pragma once

#include "genmod/core/types.hpp"

namespace genmod::kernels {

// `heads` independent attentions of `dim` numbers each: token t of sample s has head h's numbers at
// s * sample_step + t * token_step + h * dim, so that packed projections can be read where they lie.
struct AttentionShape {
    Index n = 1, queries = 1, keys = 1, heads = 1, dim = 1;
    bool causal = false;  // query i sees keys 0..i only
    bool tiles = false;   // both products in bf16, as Precision::bf16_tiles sums them; for float alone
};

// The heads of one operand in memory.
template <class T>
struct Heads {
    T* data = nullptr;
    Index sample_step = 0, token_step = 0;
};

// y = softmax(scale * q k^T) v for each sample and head; log_sums [n, heads, queries] = log(sum e^score), which the
// backward pass needs (null: not wanted).
template <class T>
void attention(const AttentionShape& shape, T scale, const Heads<const T>& q, const Heads<const T>& k,
               const Heads<const T>& v, const Heads<T>& y, T* log_sums);

// Where the gradients of attention go; null data: not wanted.
template <class T>
struct AttentionGradients {
    Heads<T> q = {}, k = {}, v = {};
    Accumulate q_mode = Accumulate::write, k_mode = Accumulate::write, v_mode = Accumulate::write;
};

// Gradients from y, log_sums and dy; the scores are computed again. Each part of k's gradient is put before v's, and
// all of both before q's, so that the three may be one buffer.
template <class T>
void attention_backward(const AttentionShape& shape, T scale, const Heads<const T>& q, const Heads<const T>& k,
                        const Heads<const T>& v, const Heads<const T>& y, const T* log_sums, const Heads<const T>& dy,
                        const AttentionGradients<T>& gradients);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/attention.hpp"
#endif
