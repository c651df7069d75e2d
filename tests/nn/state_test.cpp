#include "genmod/nn/state.hpp"

#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/io/safetensors_writer.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/linear.hpp"
#include "tests/io/scratch.hpp"
#include "tests/support/catch.hpp"

namespace state_test {

using namespace genmod;

namespace {

template <class T>
struct Net : nn::Module {
    nn::Conv2d<T> conv;
    nn::ConvTranspose2d<T> up;
    nn::Linear<T> linear;
    Tensor<T> mean;
    Tensor<Index> batches;

    explicit Net(Rng& rng)
        : conv(2, 3, rng),
          up(3, 2, rng),
          linear(4, 5, rng),
          mean(rng.normals<T>({3})),
          batches(Tensor<Index>::full({1}, rng.below(1000))) {}
    static void visit(auto& self, auto&& f) {
        f("conv", self.conv);
        f("up", self.up);
        f("linear", self.linear);
        f("mean", self.mean);
        f("batches", self.batches);
    }
};

// All numbers of a model in one list.
template <class Model>
std::vector<double> numbers(const Model& model) {
    std::vector<double> list;
    nn::for_each_leaf(model, [&](const std::string&, const auto& leaf) {
        for (const auto value : nn::detail::tensor_of(leaf)) list.push_back(static_cast<double>(value));
    });
    return list;
}

template <class Model>
io::Safetensors saved(const Model& model, const nn::SaveOptions& options = {}) {
    io::SafetensorsWriter writer;
    nn::save(model, writer, options);
    return io::Safetensors(writer.to_bytes(), "memory");
}

std::string error_of(auto&& call) {
    try {
        call();
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::bad_file);
        return error.what();
    }
    return "no error";
}

}  // namespace

TEMPLATE_TEST_CASE("a model that is saved and loaded has the same bits", "", float, double) {
    Rng rng(1);
    const Net<TestType> model(rng);
    Net<TestType> other(rng);
    REQUIRE(numbers(model) != numbers(other));
    const TestType* buffer = other.conv.weight.data();
    const auto report = nn::load(other, saved(model));
    REQUIRE(report.complete());
    REQUIRE(numbers(model) == numbers(other));
    REQUIRE(other.conv.weight.data() == buffer);
}

TEST_CASE("weights of convolutions lie in files as PyTorch's do") {
    Rng rng(2);
    const Net<float> model(rng);
    const io::Safetensors file = saved(model);
    const auto conv = file.read<float>("conv.weight", {3, 2, 3, 3});
    for (Index o = 0; o < 3; ++o)
        for (Index i = 0; i < 2; ++i)
            for (Index y = 0; y < 3; ++y)
                for (Index x = 0; x < 3; ++x)
                    REQUIRE(conv[((o * 2 + i) * 3 + y) * 3 + x] ==
                            model.conv.weight.value()[((o * 3 + y) * 3 + x) * 2 + i]);
    const auto up = file.read<float>("up.weight", {3, 2, 4, 4});
    for (Index i = 0; i < 3; ++i)
        for (Index o = 0; o < 2; ++o)
            for (Index k = 0; k < 16; ++k)
                REQUIRE(up[(i * 2 + o) * 16 + k] == model.up.weight.value()[(i * 16 + k) * 2 + o]);
}

TEST_CASE("floats may be stored shorter, and counters stay whole") {
    Rng rng(3);
    const Net<float> model(rng);
    const io::Safetensors file = saved(model, {.prefix = "net.", .dtype = io::Dtype::bf16});
    REQUIRE(file.entry("net.linear.weight").dtype == io::Dtype::bf16);
    REQUIRE(file.entry("net.batches").dtype == io::Dtype::i64);
    Net<double> other(rng);
    nn::load(other, file, {.prefix = "net."});
    REQUIRE(other.batches[0] == model.batches[0]);
    for (Index k = 0; k < 20; ++k) {
        const float stored = to_float(to_bf16(model.linear.weight.value()[k]));
        REQUIRE(other.linear.weight.value()[k] == static_cast<double>(stored));
    }
}

TEST_CASE("strict loading names what is missing, left over or of another shape, and touches nothing") {
    Rng rng(4);
    Net<float> model(rng);
    io::SafetensorsWriter writer;
    nn::save(model.conv, writer, {.prefix = "conv."});
    nn::save(model.up, writer, {.prefix = "up."});
    writer.add("linear.weight", Tensor<float>::zeros({5, 3}));
    writer.add("linear.bias", Tensor<float>::zeros({5}));
    writer.add("stray", Tensor<float>::zeros({1}));
    const io::Safetensors file(writer.to_bytes(), "memory");
    const auto before = numbers(model);
    REQUIRE(error_of([&] { nn::load(model, file); }) ==
            "memory: does not fit the model: 2 missing: batches, mean; 1 of another shape: linear.weight (expected "
            "[5, 4], found [5, 3]); 1 left over: stray");
    REQUIRE(numbers(model) == before);
    const auto report = nn::load(model, file, {.strict = false});
    REQUIRE(report.missing == std::vector<std::string>{"batches", "mean"});
    REQUIRE(report.left_over == std::vector<std::string>{"stray"});
    REQUIRE(report.misshapen.size() == 1);
    REQUIRE(model.linear.bias.value()[0] == 0.0f);
    REQUIRE(model.linear.weight.value()[0] != 0.0f);
}

TEST_CASE("a long list of differences is cut after five") {
    Rng rng(5);
    const Net<float> model(rng);
    nn::Linear<float> other(1, 1, rng);
    const std::string text = error_of([&] { nn::load(other, saved(model)); });
    REQUIRE(text.find("2 missing: bias, weight; 8 left over: batches, conv.bias, conv.weight, linear.bias, "
                      "linear.weight and 3 more") != std::string::npos);
}

TEST_CASE("ignored keys may be left over, and tensors outside the prefix are others'") {
    Rng rng(6);
    nn::Linear<float> layer(2, 2, rng);
    io::SafetensorsWriter writer;
    nn::save(layer, writer, {.prefix = "a."});
    writer.add("a.position_ids", Tensor<Index>::zeros({1}));
    writer.add("b.weight", Tensor<float>::zeros({1}));
    const io::Safetensors file(writer.to_bytes(), "memory");
    REQUIRE_THROWS_AS(nn::load(layer, file, {.prefix = "a."}), Error);
    REQUIRE(nn::load(layer, file, {.prefix = "a.", .ignored = {"position_ids"}}).complete());
}

TEST_CASE("models go through files, and through checkpoints exactly") {
    Rng rng(7);
    const Net<double> model(rng);
    Net<double> from_file(rng), from_checkpoint(rng);
    const scratch::Folder folder;
    nn::save(model, folder / "model.safetensors");
    nn::load(from_file, folder / "model.safetensors");
    REQUIRE(numbers(from_file) == numbers(model));

    io::Checkpoint written;
    nn::put_state(model, written, "model.");
    io::Checkpoint read(io::Safetensors(written.to_bytes(), "memory"));
    nn::get_state(from_checkpoint, read, "model.");
    read.finish();
    REQUIRE(numbers(from_checkpoint) == numbers(model));
    REQUIRE_THROWS_AS(nn::get_state(from_checkpoint, read, "other."), Error);
}

}  // namespace state_test
