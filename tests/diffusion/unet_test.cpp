#include "genmod/diffusion/unet.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "genmod/autograd/check_grad.hpp"
#include "genmod/autograd/grad.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/diffusion/loss.hpp"
#include "tests/support/catch.hpp"

namespace unet_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using List = std::vector<Index>;

UnetConfig tiny() {
    return {.in_channels = 1,
            .out_channels = 2,
            .down_block_types = {"DownBlock2D", "AttnDownBlock2D"},
            .up_block_types = {"AttnUpBlock2D", "UpBlock2D"},
            .block_out_channels = {4, 8},
            .layers_per_block = 1,
            .attention_head_dim = 4,
            .norm_num_groups = 2,
            .num_class_embeds = 3};
}

struct Counted {
    Index numbers = 0, leaves = 0;
};

Counted counted(const UnetConfig& config) {
    Rng rng(1);
    const Unet<float> net(config, rng);
    Counted result{.numbers = nn::count(net)};
    std::set<std::string> keys;
    nn::for_each_leaf(net, [&](const std::string& key, const auto&) { keys.insert(key); });
    result.leaves = static_cast<Index>(keys.size());
    return result;
}

// Compares the gradient of <u, net(x, t, labels)> with differences, at some numbers of every weight and at all of x.
GradCheck check_network(Unet<double>& net, const Tensor<double>& x0, const Tensor<double>& t, const List& labels) {
    auto x = Var<double>::parameter(x0.clone());
    const Var<double> y = net(x, t, labels);
    Rng rng(5);
    const Tensor<double> u = rng.normals<double>(y.shape());
    nn::zero_grad(net);
    backward(y, u);
    const auto value = [&] {
        const NoGrad off;
        const Var<double> out = net(x, t, labels);
        double sum = 0;
        for (Index k = 0; k < u.size(); ++k) sum += u[k] * out.value()[k];
        return sum;
    };
    GradCheck result;
    const auto compare = [&](const std::string& key, Var<double>& leaf, Index k) {
        const double before = leaf.value()[k], step = 1e-5;
        leaf.value()[k] = before + step;
        const double above = value();
        leaf.value()[k] = before - step;
        const double below = value();
        leaf.value()[k] = before;
        result.note(leaf.grad().empty() ? 0 : leaf.grad()[k], (above - below) / (2 * step), key);
    };
    for (Index k = 0; k < x.size(); ++k) compare("x", x, k);
    nn::for_each_leaf(net, [&](const std::string& key, Var<double>& leaf) {
        for (int draw = 0; draw < 4; ++draw) compare(key, leaf, rng.below(leaf.size()));
    });
    return result;
}

}  // namespace

TEST_CASE("the network has as many weights, under as many names, as diffusers' of the same config") {
    const Counted plain = counted(small_unet({}));
    REQUIRE(plain.numbers == 3939393);
    REQUIRE(plain.leaves == 270);
    const Counted classes = counted(small_unet({.classes = 10}));
    REQUIRE(classes.numbers == 3940801);
    REQUIRE(classes.leaves == 271);
    UnetConfig config{.in_channels = 3,
                      .out_channels = 6,
                      .time_embedding_dim = 20,
                      .down_block_types = {"AttnDownBlock2D", "DownBlock2D"},
                      .up_block_types = {"UpBlock2D", "AttnUpBlock2D"},
                      .block_out_channels = {8, 12},
                      .layers_per_block = 1,
                      .attention_head_dim = {},
                      .norm_num_groups = 4,
                      .resnet_time_scale_shift = "scale_shift",
                      .class_embed_type = "timestep"};
    REQUIRE(counted(config).numbers == 29958);
    REQUIRE(counted(config).leaves == 146);
    config = {.out_channels = 6,
              .down_block_types = {"DownBlock2D"},
              .mid_block_type = {},
              .up_block_types = {"UpBlock2D"},
              .block_out_channels = {8},
              .layers_per_block = 1,
              .norm_num_groups = 4};
    REQUIRE(counted(config).numbers == 7870);
    REQUIRE(counted(config).leaves == 44);
}

TEST_CASE("gradients of whole networks are those of their values") {
    Rng rng(2);
    UnetConfig scale_shift = tiny();
    scale_shift.resnet_time_scale_shift = "scale_shift";
    scale_shift.class_embed_type = "timestep";
    scale_shift.downsample_padding = 0;
    scale_shift.mid_block_scale_factor = 1.5;
    scale_shift.center_input_sample = true;
    for (const UnetConfig& config : {tiny(), scale_shift}) {
        Unet<double> net(config, rng);
        const auto x = rng.normals<double>({2, 4, 6, 1});
        const GradCheck result = check_network(net, x, Tensor<double>::from({2}, {3, 870}), {2, 0});
        INFO(result.where << ", error " << result.error);
        REQUIRE(result.ok());
    }
}

TEST_CASE("gradient checkpointing gives the same value and gradients, with dropout too") {
    UnetConfig config = tiny();
    config.dropout = 0.3;
    Rng rng(3);
    Unet<double> net(config, rng);
    const auto x = rng.normals<double>({2, 4, 4, 1}), t = Tensor<double>::from({2}, {10, 500});
    const auto gradients = [&](bool checkpointing, std::uint64_t step) {
        net.checkpointing = checkpointing;
        nn::zero_grad(net);
        Training scope(1, step);
        const Var<double> y = net(x, t, {0, 1});
        backward(y, Tensor<double>::full(y.shape(), 1));
        std::vector<double> all(y.value().begin(), y.value().end());
        nn::for_each_leaf(net, [&](const std::string&, const Var<double>& leaf) {
            all.insert(all.end(), leaf.grad().begin(), leaf.grad().end());
        });
        return all;
    };
    const auto distance = [](const std::vector<double>& a, const std::vector<double>& b) {
        REQUIRE(a.size() == b.size());
        double most = 0;  // sums of several users' gradients may be added in another order
        for (std::size_t k = 0; k < a.size(); ++k)
            most = std::max(most, std::fabs(a[k] - b[k]) / std::max(1.0, std::fabs(a[k])));
        return most;
    };
    const auto plain = gradients(false, 2), again = gradients(true, 2);
    REQUIRE(plain.size() > 1000);
    REQUIRE(std::equal(plain.begin(), plain.begin() + 64, again.begin()));
    REQUIRE(distance(plain, again) < 1e-12);
    REQUIRE(distance(plain, gradients(true, 3)) > 0.01);  // other masks
}

TEST_CASE("time and label matter, sample by sample") {
    Rng rng(4);
    const Unet<float> net(tiny(), rng);
    const auto one = rng.normals<float>({1, 4, 4, 1});
    Tensor<float> x({3, 4, 4, 1});
    for (Index k = 0; k < 48; ++k) x[k] = one[k % 16];
    const auto y = net(x, Tensor<float>::from({3}, {5, 5, 6}), {1, 2, 1}).value();
    REQUIRE(y.shape() == Shape{3, 4, 4, 2});
    const auto sample = [&](Index k) { return std::vector<float>(y.data() + 32 * k, y.data() + 32 * (k + 1)); };
    REQUIRE(sample(0) != sample(1));
    REQUIRE(sample(0) != sample(2));
    const auto alone = net(x.slice(1, 2), Tensor<float>::from({1}, {5}), {2}).value();
    REQUIRE(std::vector<float>(alone.begin(), alone.end()) == sample(1));
}

TEST_CASE("inputs that do not fit are refused") {
    Rng rng(5);
    const Unet<float> net(tiny(), rng);
    const auto x = rng.normals<float>({1, 4, 4, 1}), t = Tensor<float>::from({1}, {5});
    REQUIRE_NOTHROW(net(x, t, {2}));
    REQUIRE_THROWS_AS(net(x, t), Error);
    REQUIRE_THROWS_AS(net(x, t, {3}), Error);
    REQUIRE_THROWS_AS(net(x, t, {0, 1}), Error);
    REQUIRE_THROWS_AS(net(x, Tensor<float>::zeros({2}), {0}), Error);
    REQUIRE_THROWS_AS(net(rng.normals<float>({1, 4, 4, 2}), t, {0}), Error);
    try {
        net(rng.normals<float>({1, 4, 7, 1}), t, {0});
        FAIL("no error");
    } catch (const Error& error) {
        REQUIRE(std::string(error.what()).find("multiples of 2") != std::string::npos);
    }
    REQUIRE_THROWS_AS(Unet<float>(UnetConfig{.norm_num_groups = 5}, rng), Error);
}

TEST_CASE("a few steps on the hybrid loss lower it") {
    Rng rng(6);
    Unet<float> net(tiny(), rng);
    const Schedule schedule({.beta_schedule = BetaSchedule::squaredcos_cap_v2});
    auto x0 = rng.uniforms<float>({8, 4, 4, 1}, -0.5, 0.5);
    const LossOptions options{.kind = LossKind::hybrid};
    double first = 0, last = 0;
    for (int k = 0; k < 60; ++k) {
        const Var<float> loss = training_loss(net, schedule, x0, List(8, 1), options, {.step = 3});
        if (k == 0) first = loss.item();
        last = loss.item();
        backward(loss);
        nn::for_each_leaf(net, [](const std::string&, Var<float>& leaf) {
            if (leaf.grad().empty()) return;
            for (Index i = 0; i < leaf.size(); ++i) leaf.value()[i] -= 0.02f * leaf.grad()[i];
        });
        nn::zero_grad(net);
    }
    INFO("loss " << first << " -> " << last);
    REQUIRE(last < 0.8 * first);
}

}  // namespace unet_test
