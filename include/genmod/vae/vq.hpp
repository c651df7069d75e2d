// Vector quantisation with a learnt codebook (van den Oord et al. 2017).
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/embed.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::vae {

struct VqOptions {
    Index codes = 512;
    bool moving_average = true;  // the codebook follows averages (appendix A.1); else it is trained by a loss (eq. 3)
    double decay = 0.99;         // of the averages
    double commitment = 0.25;    // weight of what holds the encoder to the codes
    double eps = 1e-5;           // added to all counts, so that none is 0
};

// Vectors [n, ..., d] by their codes.
template <class T>
struct Quantised {
    Var<T> values;          // the nearest codes, [n, ..., d]; gradients go straight through to the vectors
    Tensor<Index> indices;  // of the codes, [n, ...]
    Var<T> loss;            // sums over a sample, the mean over the batch, []: what pulls codes and vectors together
};

namespace detail {

// The numbers of y with the gradient of x.
template <class T>
Var<T> straight_through(const Var<T>& x, const Tensor<T>& y) {
    Var<T> result(y);
    if (recording(x)) result.attach({x}, [](const Tensor<T>& dy, Sinks<T>& sinks) { sinks.give(0, dy); });
    return result;
}

}  // namespace detail

// A codebook of vectors of d numbers. In a Training scope a codebook of moving averages follows the vectors that it
// sees when the step is committed.
template <class T>
struct VectorQuantizer : nn::Module {
    VqOptions options;
    Var<T> codebook;   // [codes, d]
    Tensor<T> counts;  // [codes]: averages of how many vectors a code stands for in a step, and of their sums
    Tensor<T> sums;    // [codes, d]; both empty when the codebook is trained

    // Begins with normals. Throws Error when options are out of range.
    VectorQuantizer(Index d, Rng& rng, const VqOptions& o = {})
        : options(o), codebook(nn::normal_parameter<T>({o.codes, d}, 1, rng)) {
        check(o.codes >= 1 && d >= 1 && o.decay >= 0 && o.decay < 1 && o.commitment >= 0 && o.eps > 0,
              "VectorQuantizer: ", o.codes, " codes of ", d, " numbers, decay ", o.decay, ", commitment ", o.commitment,
              " or eps ", o.eps, " is out of range");
        if (o.moving_average) follow(codebook.value());
    }

    // Begins again with codes chosen at random among vectors z [..., d], so that each code stands for something.
    void initialize(const Tensor<T>& z, Rng& rng) {
        const Index d = codebook.dim(1), rows = z.size() / d;
        check(z.rank() >= 2 && z.dim(-1) == d && rows >= 1, "VectorQuantizer: vectors ", z.shape(), " for codes ",
              codebook.shape());
        for (Index k = 0; k < options.codes; ++k)
            std::copy_n(z.data() + rng.below(rows) * d, d, codebook.value().data() + k * d);
        if (options.moving_average) follow(codebook.value());
    }

    // The code nearest to each vector of z [..., d], the first one of equals. Throws Error when z does not fit.
    Tensor<Index> nearest(const Tensor<T>& z) const {
        const Index d = codebook.dim(1), codes = options.codes, rows = z.size() / d;
        check(z.rank() >= 2 && z.dim(-1) == d, "VectorQuantizer: vectors ", z.shape(), " for codes ", codebook.shape());
        std::vector<T> squares(static_cast<std::size_t>(codes), T(0));
        for (Index k = 0; k < codes * d; ++k)
            squares[static_cast<std::size_t>(k / d)] += codebook.data()[k] * codebook.data()[k];
        Tensor<T> distances({rows, codes});  // but for |z|^2, which is the same for all codes
        kernels::gemm(kernels::row_major(z.data(), rows, d),
                      kernels::transposed(kernels::row_major(codebook.data(), codes, d)), distances.data(), codes,
                      {.bias = squares.data(), .scale = T(-2)});
        Tensor<Index> indices(z.shape().without(-1));
        for (Index row = 0; row < rows; ++row) {
            const T* own = distances.data() + row * codes;
            indices[row] = std::min_element(own, own + codes) - own;
        }
        return indices;
    }

    // loss = |sg(z) - e|^2 + commitment |z - sg(e)|^2, the first part only for a trained codebook (eq. 3, where sg
    // stops gradients).
    Quantised<T> operator()(const Var<T>& z) const {
        Quantised<T> result;
        result.indices = nearest(z.value());
        const Var<T> codes = ops::embed(result.indices, codebook);
        result.values = detail::straight_through(z, codes.value());
        const double per_sample = 1 / static_cast<double>(std::max<Index>(1, z.dim(0)));
        const Var<T> away = ops::sum(ops::square(ops::sub(z, codes.detach())));
        result.loss = ops::scale(away, options.commitment * per_sample);
        if (!options.moving_average) {
            const Var<T> pulled = ops::sum(ops::square(ops::sub(codes, z.detach())));
            result.loss = ops::add(result.loss, ops::scale(pulled, per_sample));
        } else if (training() != nullptr) {
            training()->collect(training()->next_place(),
                                [to = view(), z = z.value(), at = result.indices]() mutable { to.absorb(z, at); });
        }
        return result;
    }

    static void visit(auto& self, auto&& f) {
        f("codebook", self.codebook);
        f("counts", self.counts);
        f("sums", self.sums);
    }

private:
    // The averages and the codebook made of them, sharing their numbers.
    struct Averages {
        VqOptions options;
        Tensor<T> codes, counts, sums;

        // One step: N = decay N + (1 - decay) n, m = decay m + (1 - decay) sum z, e = m / N with N smoothed to (N +
        // eps) / (sum N + codes eps) sum N (appendix A.1, and Sonnet's smoothing).
        void absorb(const Tensor<T>& z, const Tensor<Index>& indices) {
            const Index k = counts.size(), d = sums.dim(1);
            auto seen = Tensor<T>::zeros({k}), seen_sums = Tensor<T>::zeros({k, d});
            for (Index row = 0; row < indices.size(); ++row) {
                seen[indices[row]] += T(1);
                for (Index i = 0; i < d; ++i) seen_sums[indices[row] * d + i] += z[row * d + i];
            }
            const T keep = static_cast<T>(options.decay), rate = static_cast<T>(1 - options.decay);
            T total = 0;
            for (Index c = 0; c < k; ++c) total += counts[c] = keep * counts[c] + rate * seen[c];
            const T eps = static_cast<T>(options.eps), all = total + static_cast<T>(k) * eps;
            for (Index c = 0; c < k; ++c) {
                const T smoothed = (counts[c] + eps) / all * total;
                for (Index i = c * d; i < (c + 1) * d; ++i) {
                    sums[i] = keep * sums[i] + rate * seen_sums[i];
                    codes[i] = sums[i] / smoothed;
                }
            }
        }
    };

    Averages view() const { return {options, codebook.value(), counts, sums}; }

    // The codebook as constants, each code the average of one vector.
    void follow(const Tensor<T>& codes) {
        codebook = Var<T>(codes);
        counts = Tensor<T>::full({codes.dim(0)}, T(1));
        sums = codes.clone();
    }
};

// How many codes are in use, were all used alike: e^(-sum p log p) of the shares p of the codes among `indices`.
inline double perplexity(const Tensor<Index>& indices, Index codes) {
    check(codes >= 1 && indices.size() >= 1, "perplexity: ", indices.size(), " indices of ", codes, " codes");
    std::vector<double> shares(static_cast<std::size_t>(codes), 0.0);
    for (const Index index : indices) {
        check(index >= 0 && index < codes, "perplexity: index ", index, " is not in 0..", codes - 1);
        shares[static_cast<std::size_t>(index)] += 1 / static_cast<double>(indices.size());
    }
    double entropy = 0;
    for (const double share : shares) {
        double log_share = 0;
        if (share > 0) kernels::unary(kernels::Unary::log, &share, &log_share, Index{1});
        entropy -= share * log_share;
    }
    kernels::unary(kernels::Unary::exp, &entropy, &entropy, Index{1});
    return entropy;
}

}  // namespace genmod::vae
