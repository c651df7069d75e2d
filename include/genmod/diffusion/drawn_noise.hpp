// Noise drawn from PyTorch's generators in the order of the calls, as the programs of this field draw it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/brownian.hpp"

namespace genmod::diffusion {

// The generators with seeds seed, seed + 1, ...: one for each picture, as web UIs seed a batch. `more` are the
// generator's other arguments (TorchRules, CudaCard).
template <class Generator, class... More>
std::vector<Generator> generators_from(std::uint64_t seed, Index count, const More&... more) {
    std::vector<Generator> generators;
    for (Index k = 0; k < count; ++k) generators.emplace_back(seed + static_cast<std::uint64_t>(k), more...);
    return generators;
}

namespace detail {

// [n, c, pixels] in memory becomes [n, pixels, c], as numbers of another type.
template <class Number, class T>
void channels_last(const Tensor<Number>& from, Tensor<T>& to) {
    const Index channels = to.dim(-1), size = to.shape().product(1, to.rank());
    if (size == 0) return;
    const Index pixels = size / channels;
    for (Index k = 0; k < to.size(); ++k) {
        const Number number = from[k / size * size + k % channels * pixels + k % size / channels];
        if constexpr (std::is_floating_point_v<Number>)
            to[k] = static_cast<T>(number);
        else
            to[k] = static_cast<T>(to_float(number));
    }
}

}  // namespace detail

// With one generator the whole batch is one draw, as diffusers does with a generator: then a picture depends on those
// before it. With one for each picture, as diffusers does with a list of them and web UIs always do, picture k of a
// batch is the picture alone. Generator is TorchGenerator or CudaGenerator, Number the type that the program draws
// (float, double, f16, bf16). Pictures [n, h, w, c] get the numbers of PyTorch's [n, c, h, w].
//
// A source with a memory: sampling moves it on, so a run that goes on later needs it as it was then (visit()).
template <class Generator, class Number = float>
class DrawnNoise {
public:
    // `later`, if given, take over after the start: a web UI's "eta noise seed delta" (ENSD) is the seeds plus that.
    explicit DrawnNoise(std::vector<Generator> generators, std::vector<Generator> later = {})
        : generators_(std::move(generators)), later_(std::move(later)) {
        check(!generators_.empty(), "noise: no generators");
        check(later_.empty() || later_.size() == generators_.size(), "noise: ", generators_.size(), " generators, and ",
              later_.size(), " that take over");
    }

    // The noise that a run starts from, and the draw-th noise of a step: simply the next numbers.
    template <class T>
    Tensor<T> start(const Shape& shape) {
        Tensor<T> result = next<T>(shape);
        if (!later_.empty()) generators_ = later_;
        return result;
    }
    template <class T>
    Tensor<T> normals(const Shape& shape, std::uint64_t /*step*/, std::uint32_t /*draw*/) {
        return next<T>(shape);
    }

    // Draws nothing: these are the library's own Brownian motions (fill_brownian), with the generators' seeds; with one
    // generator, picture k has seed + k. TorchsdeNoise has the trees of other programs.
    template <class T>
    Tensor<T> brownian(const Shape& shape, double sigma_from, double sigma_to, std::uint64_t /*step*/,
                       std::uint32_t /*draw*/) const {
        check_pictures(shape);
        Tensor<T> result(shape);
        const Index size = shape.product(1, shape.rank());
        for (Index k = 0; k < shape.dim(0); ++k) {
            const bool one = generators_.size() == 1;
            const Generator& generator = generators_[one ? 0 : static_cast<std::size_t>(k)];
            const std::uint64_t seed = generator.state().seed + (one ? static_cast<std::uint64_t>(k) : 0);
            fill_brownian(seed, sigma_from, sigma_to, result.data() + k * size, size);
        }
        return result;
    }

    const std::vector<Generator>& generators() const { return generators_; }

    // The generators' states. Throws Error(bad_file) when another number of them is read.
    static void visit(auto& self, auto&& f) {
        using State = std::decay_t<decltype(self.generators_.front().state())>;
        std::vector<State> read;
        for (const Generator& generator : self.generators_) read.push_back(generator.state());
        const std::vector<State>& states = read;
        if constexpr (std::is_const_v<std::remove_reference_t<decltype(self)>>) {
            f("generators", states);
        } else {
            f("generators", read);
            if (read.size() != self.generators_.size())
                fail(ErrorCode::bad_file, "noise: ", self.generators_.size(), " generators, and ", read.size(),
                     " states of them");
            for (std::size_t k = 0; k < read.size(); ++k) self.generators_[k].set_state(read[k]);
        }
    }

private:
    void check_pictures(const Shape& shape) const {
        check(shape.rank() >= 2 && (generators_.size() == 1 || shape.dim(0) == static_cast<Index>(generators_.size())),
              "noise: ", generators_.size(), " generators for pictures ", shape);
    }

    template <class T>
    Tensor<T> next(const Shape& shape) {
        check_pictures(shape);
        Tensor<T> result(shape);
        const Index pictures = shape.dim(0), part = static_cast<Index>(generators_.size());
        const Shape drawn = shape.with(0, pictures / part);
        for (Index k = 0; k < part; ++k) {
            const Tensor<Number> numbers = generators_[static_cast<std::size_t>(k)].template randn<Number>(drawn);
            Tensor<T> out = result.slice(k * drawn.dim(0), (k + 1) * drawn.dim(0));
            detail::channels_last(numbers, out);
        }
        return result;
    }

    std::vector<Generator> generators_;
    std::vector<Generator> later_;
};

}  // namespace genmod::diffusion
