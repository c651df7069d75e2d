// Flow++ (Ho et al. 2019): couplings by mixtures of logistics beside gated attention, and variational dequantization.
#pragma once

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/flows/actnorm.hpp"
#include "genmod/flows/coupling.hpp"
#include "genmod/flows/dequantize.hpp"
#include "genmod/flows/flow.hpp"
#include "genmod/flows/gated_attention.hpp"
#include "genmod/flows/inv_conv1x1.hpp"
#include "genmod/flows/logistic_mixture.hpp"
#include "genmod/flows/logit.hpp"
#include "genmod/flows/mask.hpp"
#include "genmod/flows/squeeze.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::flows {

// x [n, h, w, c] -> [n, h, w / 2, 2 c], where the halves of the channels are the even and the odd columns; or back.
template <class T>
struct ColumnPairs : nn::Module {
    static constexpr const char* name = "columns";
    bool pairs;  // false: forward() leads back to single columns

    explicit ColumnPairs(bool to_pairs = true) : pairs(to_pairs) {}

    Transformed<T> forward(const Var<T>& x) const { return {arranged(x, pairs), no_log_det(x)}; }
    Transformed<T> inverse(const Var<T>& y) const { return {arranged(y, !pairs), no_log_det(y)}; }

    // Throws Error when the columns, or the channels, are no pairs.
    static Var<T> arranged(const Var<T>& x, bool to_pairs) {
        check(x.rank() == 4 && x.dim(to_pairs ? 2 : 3) % 2 == 0, "columns: cannot pair ", x.shape());
        if (to_pairs) return ops::reshape(x, {x.dim(0), x.dim(1), x.dim(2) / 2, 2 * x.dim(3)});
        return ops::reshape(x, {x.dim(0), x.dim(1), 2 * x.dim(2), x.dim(3) / 2});
    }

    static void visit(auto&, auto&&) {}
};

template <class T>
using FlowppStep = std::variant<Coupling<T, GatedAttentionNet<T>, LogisticMixture<T>>, ActNorm<T>, InvConv1x1<T>,
                                ColumnPairs<T>, Squeeze<T>, Logit<T>>;

struct FlowppOptions {
    Index column_couplings = 4;           // that move the odd and the even columns by turns,
    Index channel_couplings = 2;          // after squeezing, halves of the channels,
    Index last_couplings = 3;             // and columns again
    LogisticMixtureOptions mixture = {};  // 32 components in the paper
    GatedAttentionOptions network = {.filters = 32, .blocks = 2, .dropout = 0};  // 96 filters, 10 blocks, 0.2
    std::optional<LogitOptions> logit = LogitOptions{};                          // of bounded data
};

// Adds actnorm, an invertible 1x1 convolution and a coupling that moves one half of the channels, `count` times, for
// samples of `shape` [h, w, c].
template <class T>
void add_flowpp_couplings(std::vector<FlowppStep<T>>& steps, Index count, const Shape& shape,
                          const LogisticMixtureOptions& mixture, const GatedAttentionOptions& network, Rng& rng) {
    for (Index k = 0; k < count; ++k) {
        const Mask mask = k % 2 == 0 ? Mask::second_half : Mask::first_half;
        const LogisticMixture<T> element(mixture);
        const Index channels = shape.dim(2), numbers = element.parameters() * moved_channels(mask, channels);
        const Shape seen = shape.with(2, kept_channels(mask, channels));
        steps.emplace_back(ActNorm<T>(channels));
        steps.emplace_back(InvConv1x1<T>(channels, rng));
        steps.emplace_back(Coupling<T, GatedAttentionNet<T>, LogisticMixture<T>>(
            GatedAttentionNet<T>(seen, numbers, rng, network), LogisticMixture<T>(mixture), mask));
    }
}

// A flow of images [n, h, w, c], to be initialized(). Where the authors' program normalises each half by itself,
// actnorm and 1x1 convolution act on both. Throws Error unless h is even and w a multiple of 4.
template <class T>
Flow<T, Sequence<T, FlowppStep<T>>> flowpp(const Shape& image, Rng& rng, const FlowppOptions& options = {}) {
    check(image.rank() == 3 && image.dim(0) % 2 == 0 && image.dim(1) % 4 == 0, "Flow++: cannot halve images ", image);
    const Index h = image.dim(0), w = image.dim(1), c = image.dim(2);
    std::vector<FlowppStep<T>> steps;
    if (options.logit) steps.emplace_back(Logit<T>(*options.logit));
    steps.emplace_back(ColumnPairs<T>(true));
    add_flowpp_couplings<T>(steps, options.column_couplings, {h, w / 2, 2 * c}, options.mixture, options.network, rng);
    steps.emplace_back(ColumnPairs<T>(false));
    steps.emplace_back(Squeeze<T>());
    add_flowpp_couplings<T>(steps, options.channel_couplings, {h / 2, w / 2, 4 * c}, options.mixture, options.network,
                            rng);
    steps.emplace_back(ColumnPairs<T>(true));
    add_flowpp_couplings<T>(steps, options.last_couplings, {h / 2, w / 4, 8 * c}, options.mixture, options.network,
                            rng);
    steps.emplace_back(ColumnPairs<T>(false));
    return {Sequence<T, FlowppStep<T>>(std::move(steps)), Shape{h / 2, w / 2, 4 * c}};
}

// What the dequantizer's flow sees of an image [n, h, w, c]: [n, h, w / 2, channels].
template <class T>
struct DequantizerContext : nn::Module {
    nn::Conv2d<T> proj;
    std::vector<GatedConv<T>> blocks;

    DequantizerContext(Index image_channels, Index channels, Index count, Rng& rng)
        : proj(2 * image_channels, channels, rng, {.padding = 1}) {
        for (Index k = 0; k < count; ++k)
            blocks.emplace_back(GatedAttentionOptions{.filters = channels, .dropout = 0}, rng);
    }

    Var<T> operator()(const Var<T>& x) const {
        Var<T> h = proj(ColumnPairs<T>::arranged(x, true));
        for (const GatedConv<T>& block : blocks) h = block(h, {});
        return h;
    }

    static void visit(auto& self, auto&& f) {
        f("proj", self.proj);
        f("blocks", self.blocks);
    }
};

struct FlowppDequantizerOptions {
    Index couplings = 4;
    Index context = 32;        // channels of what the flow sees
    Index context_blocks = 3;  // gated convolutions
    LogisticMixtureOptions mixture = {};
    GatedAttentionOptions network = {.filters = 32, .blocks = 2, .dropout = 0};  // its context is set here
    double per_unit = 127.5;                                                     // steps of the grid per unit
};

template <class T>
using FlowppDequantizer = VariationalDequantizer<T, DequantizerContext<T>, Sequence<T, FlowppStep<T>>>;

// For images [h, w, c], to be initialized(). Throws Error unless w is even.
template <class T>
FlowppDequantizer<T> flowpp_dequantizer(const Shape& image, Rng& rng, const FlowppDequantizerOptions& options = {}) {
    check(image.rank() == 3 && image.dim(1) % 2 == 0, "Flow++: cannot pair the columns of images ", image);
    GatedAttentionOptions network = options.network;
    network.context = options.context;
    DequantizerContext<T> context(image.dim(2), options.context, options.context_blocks, rng);
    std::vector<FlowppStep<T>> steps;
    steps.emplace_back(ColumnPairs<T>(true));
    add_flowpp_couplings<T>(steps, options.couplings, {image.dim(0), image.dim(1) / 2, 2 * image.dim(2)},
                            options.mixture, network, rng);
    steps.emplace_back(ColumnPairs<T>(false));
    return {std::move(context), Sequence<T, FlowppStep<T>>(std::move(steps)), options.per_unit};
}

}  // namespace genmod::flows
