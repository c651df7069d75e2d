#include "genmod/nn/module.hpp"

#include <array>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/linear.hpp"
#include "tests/support/catch.hpp"

namespace module_test {

using namespace genmod;

namespace {

// One of everything that a module may hold.
struct Everything : nn::Module {
    nn::Linear<float> plain;
    std::vector<nn::Conv2d<float>> list;
    std::optional<nn::Linear<float>> present, absent;
    std::vector<std::variant<std::monostate, nn::Linear<float>, nn::ConvTranspose2d<float>>> choices;
    std::array<Tensor<Index>, 2> counters;
    Var<float> constant;
    int option = 7;

    explicit Everything(Rng& rng)
        : plain(3, 4, rng, {.bias = false}), present(std::in_place, 2, 3, rng), constant(Tensor<float>::zeros({5})) {
        list.emplace_back(2, 5, rng);
        list.push_back(nn::Conv2d<float>(5, 1, rng, {.kernel = 1, .bias = false}));
        choices.resize(3);
        choices[1].emplace<1>(1, 1, rng);
        choices[2].emplace<2>(2, 3, rng);
        for (auto& counter : counters) counter = Tensor<Index>::zeros({1});
    }
    static void visit(auto& self, auto&& f) {
        f("plain", self.plain);
        f("list", self.list);
        f("present", self.present);
        f("absent", self.absent);
        f("choices", self.choices);
        f("counters", self.counters);
        f("constant", self.constant);
    }
};

std::string described(const auto& model) {
    std::string text;
    nn::for_each_leaf(model, [&](const std::string& key, const auto& leaf, nn::Layout layout) {
        text += key + " " + to_string(leaf.shape());
        text += layout == nn::Layout::as_is    ? "\n"
                : layout == nn::Layout::linear ? " linear\n"
                : layout == nn::Layout::conv   ? " conv\n"
                                               : " transposed\n";
    });
    return text;
}

}  // namespace

TEST_CASE("every leaf is visited once, in order, under its full name") {
    Rng rng(1);
    const Everything model(rng);
    REQUIRE(described(model) ==
            "plain.weight [4, 3] linear\n"
            "list.0.weight [5, 3, 3, 2] conv\n"
            "list.0.bias [5]\n"
            "list.1.weight [1, 1, 1, 5] conv\n"
            "present.weight [3, 2] linear\n"
            "present.bias [3]\n"
            "choices.1.weight [1, 1] linear\n"
            "choices.1.bias [1]\n"
            "choices.2.weight [2, 4, 4, 3] transposed\n"
            "choices.2.bias [3]\n"
            "counters.0 [1]\n"
            "counters.1 [1]\n"
            "constant [5]\n");
    REQUIRE(nn::count(model) == 12 + 90 + 5 + 5 + 6 + 3 + 1 + 1 + 96 + 3);
    REQUIRE(nn::parameters<float>(model).size() == 10);
}

TEST_CASE("a module that is copied says so, and moves freely") {
    Rng rng(2);
    Everything model(rng);
    REQUIRE_THROWS_AS(Everything(model), Error);
    const float* before = model.plain.weight.data();
    std::vector<Everything> list;
    list.push_back(std::move(model));
    list.emplace_back(rng);
    list.emplace_back(rng);
    REQUIRE(list[0].plain.weight.data() == before);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<nn::Linear<float>>);
    STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<nn::Linear<float>>);
}

TEST_CASE("a clone has the same numbers and options, and shares nothing") {
    Rng rng(3);
    Everything model(rng);
    backward(model.plain(Tensor<float>::full({1, 3}, 1.0f)), Tensor<float>::full({1, 4}, 1.0f));
    Everything copy = nn::clone(model);
    REQUIRE(copy.option == 7);
    REQUIRE(described(copy) == described(model));
    nn::for_each_pair(copy, model, []<class Leaf>(const std::string& key, Leaf& mine, const Leaf& theirs) {
        INFO(key);
        const auto tensor = [](const auto& leaf) {
            if constexpr (requires { leaf.value(); })
                return leaf.value();
            else
                return leaf;
        };
        REQUIRE(tensor(mine).data() != tensor(theirs).data());
        REQUIRE(std::equal(tensor(mine).begin(), tensor(mine).end(), tensor(theirs).begin()));
        if constexpr (requires { mine.requires_grad(); }) {
            REQUIRE(mine.requires_grad() == theirs.requires_grad());
            REQUIRE((!mine.requires_grad() || mine.node() != theirs.node()));
        }
    });
    REQUIRE(copy.plain.weight.grad().empty());
    REQUIRE_FALSE(model.plain.weight.grad().empty());
    REQUIRE_THROWS_AS(Everything(copy), Error);  // the permission to copy ended with clone()
}

TEST_CASE("copy overwrites the numbers of a model that is built alike, and no other") {
    Rng rng(4);
    Everything a(rng), b(rng);
    REQUIRE(a.plain.weight.value()[0] != b.plain.weight.value()[0]);
    const float* buffer = b.plain.weight.data();
    nn::copy(a, b);
    REQUIRE(a.plain.weight.value()[0] == b.plain.weight.value()[0]);
    REQUIRE(b.plain.weight.data() == buffer);  // optimisers that hold the buffer still see the weights
    Everything other(rng);
    other.absent.emplace(1, 1, rng);
    const float first = other.plain.weight.value()[0];
    REQUIRE_THROWS_AS(nn::copy(a, other), Error);
    REQUIRE_THROWS_AS(nn::copy(other, a), Error);
    REQUIRE(other.plain.weight.value()[0] == first);
    nn::Linear<float> narrow(2, 3, rng), wide(4, 3, rng);
    REQUIRE_THROWS_AS(nn::copy(narrow, wide), Error);
}

TEST_CASE("zero_grad forgets all gradients") {
    Rng rng(5);
    nn::Linear<float> layer(2, 2, rng);
    backward(layer(Tensor<float>::full({1, 2}, 1.0f)), Tensor<float>::full({1, 2}, 1.0f));
    REQUIRE(layer.weight.grad().size() == 4);
    nn::zero_grad(layer);
    REQUIRE(layer.weight.grad().empty());
    REQUIRE(layer.bias.grad().empty());
}

TEST_CASE("a list of modules is walked like a module") {
    Rng rng(6);
    std::vector<nn::Linear<double>> layers;
    layers.emplace_back(1, 2, rng);
    layers.emplace_back(2, 1, rng);
    REQUIRE(described(layers) == "0.weight [2, 1] linear\n0.bias [2]\n1.weight [1, 2] linear\n1.bias [1]\n");
    REQUIRE(nn::count(nn::clone(layers)) == 7);
}

}  // namespace module_test
