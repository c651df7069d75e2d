// Scaled dot product attention (Vaswani et al. 2017, eq. 1) with several heads.
#pragma once

#include <cmath>
#include <concepts>
#include <optional>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/attention.hpp"

namespace genmod::ops {

struct AttentionOptions {
    Index heads = 1;
    bool causal = false;               // query i sees keys 0..i only
    std::optional<double> scale = {};  // of the scores; 1 / sqrt(numbers of a head) when absent
    bool tiles = false;                // both products in bf16, as Precision::bf16_tiles sums them; for float alone
};

namespace detail {

template <class T>
kernels::Heads<const T> heads_of(const Tensor<T>& tokens) {
    return {tokens.data(), tokens.dim(1) * tokens.dim(2), tokens.dim(2)};
}
template <class T>
kernels::Heads<T> heads_into(T* data, const Tensor<T>& tokens) {
    return {data, tokens.dim(1) * tokens.dim(2), tokens.dim(2)};
}

}  // namespace detail

// softmax(scale * q k^T) v for each head; q [n, queries, heads * dim], k and v [n, keys, heads * dim]; head h owns the
// numbers h * dim .. (h + 1) * dim - 1. Gives [n, queries, heads * dim]. Gradients are those of products in T, whatever
// options.tiles says. Throws Error when they do not fit.
template <class T>
Var<T> attention(const Var<T>& q, const Var<T>& k, const Var<T>& v, const AttentionOptions& options = {}) {
    check(q.rank() == 3 && k.rank() == 3 && k.shape() == v.shape() && q.dim(0) == k.dim(0) && q.dim(2) == k.dim(2) &&
              k.dim(1) > 0,
          "attention: q ", q.shape(), ", k ", k.shape(), " and v ", v.shape(), " do not fit");
    check(options.heads >= 1 && q.dim(2) % options.heads == 0, "attention: ", options.heads, " heads do not divide ",
          q.dim(2), " numbers");
    check(!options.tiles || std::same_as<T, float>, "attention: bf16 is for float");
    const kernels::AttentionShape shape{q.dim(0),       q.dim(1),     k.dim(1), options.heads, q.dim(2) / options.heads,
                                        options.causal, options.tiles};
    const T scale = static_cast<T>(options.scale.value_or(1.0 / std::sqrt(static_cast<double>(shape.dim))));
    const bool record = recording(q, k, v);
    Tensor<T> y(q.shape());
    Tensor<T> log_sums = record ? Tensor<T>({shape.n, shape.heads, shape.queries}) : Tensor<T>();
    kernels::attention<T>(shape, scale, detail::heads_of(q.value()), detail::heads_of(k.value()),
                          detail::heads_of(v.value()), detail::heads_into(y.data(), y), log_sums.data());
    Var<T> result(y);
    if (record)
        result.attach({q, k, v}, [shape, scale, qv = q.value(), kv = k.value(), vv = v.value(), y, log_sums](
                                     const Tensor<T>& dy, Sinks<T>& sinks) {
            // The order in which the kernel writes, as one tensor may be query, key and value at once.
            const auto dk = sinks[1], dv = sinks[2], dq = sinks[0];
            kernels::attention_backward<T>(shape, scale, detail::heads_of(qv), detail::heads_of(kv),
                                           detail::heads_of(vv), detail::heads_of(y), log_sums.data(),
                                           detail::heads_of(dy),
                                           {.q = detail::heads_into(dq.data, qv),
                                            .k = detail::heads_into(dk.data, kv),
                                            .v = detail::heads_into(dv.data, vv),
                                            .q_mode = dq.mode,
                                            .k_mode = dk.mode,
                                            .v_mode = dv.mode});
        });
    return result;
}

}  // namespace genmod::ops
