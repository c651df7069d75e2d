// PyTorch's CPU generator against PyTorch 2.15, and its older rules against 1.13.
#include "genmod/core/rng_torch.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/support/golden.hpp"

namespace rng_torch_test {

using namespace genmod;
using genmod::test::Golden;

namespace {

const std::vector<std::string> seeds{"0", "42", "4294967295", "9223372036854775808"};

template <class T>
double number(T value) {
    if constexpr (std::is_floating_point_v<T>)
        return static_cast<double>(value);
    else
        return static_cast<double>(to_float(value));
}

std::uint64_t hash(std::uint64_t state, std::uint64_t value) {
    for (int k = 0; k < 8; ++k) state = (state ^ ((value >> (8 * k)) & 0xff)) * 0x100000001b3u;
    return state;
}
constexpr std::uint64_t hash_start = 0xcbf29ce484222325u;

template <class T>
std::vector<double> numbers(const Tensor<T>& x) {
    std::vector<double> result;
    for (const T value : x) result.push_back(number(value));
    return result;
}

void require_near(const std::vector<double>& found, const Tensor<double>& expected, double tolerance) {
    const Index size = static_cast<Index>(found.size());
    const bool whole = size == expected.size();
    REQUIRE((whole || expected.size() == 64));
    for (Index k = 0; k < expected.size(); ++k) {
        const double value = found[static_cast<std::size_t>(whole || k < 32 ? k : size - 64 + k)];
        INFO("number " << k << ": found " << value << ", expected " << expected[k]);
        REQUIRE(std::abs(value - expected[k]) <= tolerance);
    }
}

void require_sums(const std::vector<double>& found, const Tensor<double>& expected, double tolerance) {
    double sum = 0, squares = 0;
    for (const double value : found) {
        sum += value;
        squares += value * value;
    }
    REQUIRE(std::abs(sum - expected[0]) <= tolerance);
    REQUIRE(std::abs(squares - expected[1]) <= tolerance);
}

// `tolerance` is that of normals, `of_sums` that of their sum and sum of squares: a few halves among 16384 lie so close
// to the middle of two numbers that PyTorch rounds them the other way.
template <class T>
void check_draws(const Golden& golden, const std::string& type, double tolerance, double of_sums, int bits = 0) {
    for (const std::string& seed : seeds)
        for (const Index size : {1, 15, 16, 17, 31, 32, 16384}) {
            const std::string key = type + "/" + seed + "/" + std::to_string(size);
            INFO(key);
            TorchGenerator generator(std::stoull(seed));
            const auto normals = numbers(generator.randn<T>({size}));
            REQUIRE(generator.rand<float>({1})[0] == golden.raw<float>("next/" + key)[0]);
            require_near(normals, golden.raw<double>("randn/" + key), tolerance);
            const auto uniforms = numbers(TorchGenerator(std::stoull(seed)).rand<T>({size}));
            require_near(uniforms, golden.raw<double>("rand/" + key), 0);
            if (size < 16384) continue;
            require_sums(normals, golden.raw<double>("randn/" + key + ".sums"), of_sums);
            require_sums(uniforms, golden.raw<double>("rand/" + key + ".sums"), 1e-9);
            if (bits == 0) continue;
            std::uint64_t found = hash_start;
            for (const double u : uniforms) found = hash(found, static_cast<std::uint64_t>(std::ldexp(u, bits)));
            REQUIRE(static_cast<Index>(found) == golden.raw<Index>("rand/" + key + ".hash")[0]);
        }
}

}  // namespace

TEST_CASE("uniforms and normals are PyTorch's, for every size rule and type") {
    const Golden golden("rng_torch.safetensors");
    check_draws<float>(golden, "f32", 1e-6, 1e-3, 24);
    check_draws<double>(golden, "f64", 1e-13, 1e-9, 53);
    check_draws<f16>(golden, "f16", 0, 0.05);
    check_draws<bf16>(golden, "bf16", 0, 0.5);
}

TEST_CASE("whole numbers and permutations are PyTorch's") {
    const Golden golden("rng_torch.safetensors");
    int compared = 0;
    for (const auto& entry : golden.file().entries()) {
        INFO(entry.name);
        std::vector<std::string> parts{""};
        for (const char c : entry.name)
            if (c == '/')
                parts.emplace_back();
            else
                parts.back() += c;
        if (parts[0] != "randint" && parts[0] != "randperm") continue;
        ++compared;
        TorchGenerator generator(std::stoull(parts[1]));
        if (parts[0] == "randint") {
            const auto found = generator.randint(std::stoll(parts[2]), std::stoll(parts[3]), {9});
            REQUIRE(std::vector<Index>(found.begin(), found.end()) == golden.indices(entry.name));
        } else if (parts[2] == "30000.hash") {
            std::uint64_t found = hash_start;
            for (const Index value : generator.randperm(30000)) found = hash(found, static_cast<std::uint64_t>(value));
            REQUIRE(static_cast<Index>(found) == golden.raw<Index>(entry.name)[0]);
        } else {
            REQUIRE(generator.randperm(std::stoll(parts[2])) == golden.indices(entry.name));
        }
    }
    REQUIRE(compared == 40);
    REQUIRE_THROWS_AS(TorchGenerator(0).randint(3, 3, {1}), Error);
    REQUIRE_THROWS_AS(TorchGenerator(0).randperm(-1), Error);
    REQUIRE(TorchGenerator(0).randperm(0).empty());
}

TEST_CASE("calls of all kinds continue one another as in PyTorch, also from a saved state") {
    const auto expected = Golden("rng_torch.safetensors").raw<double>("mixed");
    for (const bool saved : {false, true}) {
        std::vector<double> found;
        TorchGenerator generator(7);
        const auto add = [&](const auto& values) {
            for (const auto value : values) found.push_back(value);
            if (!saved) return;
            TorchGenerator next;
            next.set_state(generator.state());
            generator = next;
        };
        add(numbers(generator.randn<float>({5})));
        add(numbers(generator.randn<double>({2})));
        add(numbers(generator.randn<float>({17})));
        add(numbers(generator.rand<double>({3})));
        add(cast<double>(Tensor<Index>::from({6}, generator.randperm(6))));
        add(numbers(generator.randn<f16>({1})));
        add(cast<double>(generator.randint(0, Index{1} << 30, {2})));
        add(numbers(generator.randn<bf16>({21})));
        add(numbers(generator.randn<float>({3})));
        require_near(found, expected, 1e-6);
    }
}

TEST_CASE("manual_seed begins again, forgets the spare normal and sees the low 32 bits of a seed") {
    TorchGenerator generator(3);
    const float first = generator.randn<float>({1})[0];
    REQUIRE(generator.state().spare != TorchState::no_spare);
    generator.manual_seed(3);
    REQUIRE(generator.state().spare == TorchState::no_spare);
    REQUIRE(generator.randn<float>({1})[0] == first);
    REQUIRE(TorchGenerator(3 + (std::uint64_t{1} << 32)).next() == TorchGenerator(3).next());
    REQUIRE(TorchGenerator(4).next() != TorchGenerator(3).next());
    // A batch of one generator is the stream cut into pictures, where a picture is a multiple of 16.
    const auto batch = TorchGenerator(5).randn<float>({2, 16});
    TorchGenerator parts(5);
    for (Index k = 0; k < 2; ++k) {
        const auto part = parts.randn<float>({16});
        for (Index i = 0; i < 16; ++i) REQUIRE(part[i] == batch[k * 16 + i]);
    }
}

// Numbers of PyTorch 1.13.1: a hash of the bits of torch.randn under seed 42.
TEST_CASE("the older rules are those of PyTorch 1.13") {
    const auto bits = [](const auto& x) {
        std::uint64_t found = hash_start;
        for (const auto value : x) found = hash(found, value.bits);
        return found;
    };
    const TorchRules rules{.narrow_half = true, .narrow_randint = true};
    const auto old = [&] { return TorchGenerator(42, rules); };
    REQUIRE(bits(old().randn<f16>({15})) == 0x0a02edd7aef910dbu);
    REQUIRE(bits(old().randn<f16>({16})) == 0x06bec5feb8e650a3u);
    REQUIRE(bits(old().randn<f16>({17})) == 0xc666d38879b3a2d4u);
    REQUIRE(bits(old().randn<f16>({1000})) == 0xd5c00ead1da2670cu);
    REQUIRE(bits(old().randn<f16>({16384})) == 0xe9855e0d454013b0u);
    REQUIRE(bits(old().rand<f16>({1000})) == 0x84a56a966f709fbcu);
    REQUIRE(bits(old().randn<bf16>({15})) == 0xc3370d0d3bfc95abu);
    REQUIRE(bits(old().randn<bf16>({16})) == 0xfbd6bb1c0d740992u);
    REQUIRE(bits(old().randn<bf16>({17})) == 0x1c15643301c503e9u);
    REQUIRE(bits(old().randn<bf16>({1000})) == 0x69e2f5865846b457u);
    REQUIRE(bits(old().randn<bf16>({16384})) == 0x001a869f3161ff1du);
    REQUIRE(bits(old().rand<bf16>({1000})) == 0x9273b4847cb041fdu);
    const auto below = [&](Index low, Index high) {
        const auto x = old().randint(low, high, {3});
        return std::vector<Index>(x.begin(), x.end());
    };
    REQUIRE(below(0, Index{1} << 28) == std::vector<Index>{266460262, 199900595, 56755036});
    REQUIRE(below(0, (Index{1} << 32) - 1) == std::vector<Index>{1608637542, 3421126067, 4083286876});
    REQUIRE(below(0, Index{1} << 32) == std::vector<Index>{3421126067, 787846414, 3348747335});
    REQUIRE(below(-5, Index{1} << 40) == std::vector<Index>{441476371554, 395845085946, 458553876606});
}

}  // namespace rng_torch_test
