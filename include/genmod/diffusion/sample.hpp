// The one sampling loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/prediction.hpp"

namespace genmod::diffusion {

template <class T>
struct SampleOptions {
    Shape shape = {};                       // [n, h, w, c]
    std::uint64_t seed = 0;                 // picture k uses seed + k
    std::vector<std::uint64_t> seeds = {};  // instead: one seed for each picture
    Tensor<T> start = {};                   // instead of noise: the x of the first level; gives the shape too
    Index first = 0;                        // step to begin with; `start` is then the x of that step
};

// What a callback sees after a step. It may change x, or set `stop` to end with the x it leaves.
template <class T>
struct SampleStep {
    Index step = 0;  // 1..total
    Index total = 0;
    NoiseLevel level;  // where x is now
    Tensor<T>& x;
    const Prediction<T>& prediction;  // the step's first one: for the x it began with. The last one, if it asked none
    bool stop = false;
};

namespace detail {

struct NoCallback {
    void operator()(Index, Index) const {}
};

// Keeps a step's first prediction for the callback: solvers of higher order ask again, elsewhere.
template <class T, class Predict>
struct Recorder {
    const Predict& predict;
    Prediction<T>& kept;
    bool& asked;

    Prediction<T> operator()(const Tensor<T>& x, const NoiseLevel& level) const {
        Prediction<T> said = predict(x, level);
        if (!asked) kept = said;
        asked = true;
        return said;
    }
};

// Throws Error(non_finite), with the step and the sample, when x holds NaN or infinity.
template <class T>
void check_finite(const Tensor<T>& x, Index step, Index total) {
    const Index size = x.shape().product(1, x.rank());
    for (Index k = 0; k < x.size(); ++k)
        if (!is_finite(x[k]))
            fail(ErrorCode::non_finite, "sampling: NaN or infinity after step ", step, " of ", total, " in picture ",
                 k / size);
}

// Calls callback(SampleStep&), or callback(step, total). Returns whether to go on.
template <class T, class Callback>
bool report(Callback& callback, SampleStep<T> step) {
    if constexpr (std::is_invocable_v<Callback&, SampleStep<T>&>)
        callback(step);
    else
        callback(step.step, step.total);
    return !step.stop;
}

}  // namespace detail

// Takes x through the levels from step `first` on, with noise from `source` and the sampler's own `state`. Throws
// Error(stopped) within a step of a stop request, and Error(non_finite) with the step when numbers go astray.
template <class T, class Predict, class Sampler, class Source, class Callback = detail::NoCallback>
Tensor<T> run_sampler(const Predict& predict, const Sampler& sampler, const Levels& levels, Tensor<T> x,
                      Source&& source, typename Sampler::template State<T>& state, Index first = 0,
                      Callback&& callback = {}) {
    const NoGrad off;
    const auto total = static_cast<Index>(levels.steps.size());
    check(x.rank() >= 2, "sampling: expected a batch of pictures, found shape ", x.shape());
    check(first >= 0 && first <= total, "sampling: cannot begin with step ", first, " of ", total);
    Prediction<T> said;
    bool asked = false;
    const detail::Recorder<T, Predict> recorder{predict, said, asked};
    for (Index k = first; k < total; ++k) {
        if (stop_requested()) fail(ErrorCode::stopped, "sampling: stopped before step ", k + 1, " of ", total);
        const LevelPair& pair = levels.steps[static_cast<std::size_t>(k)];
        StepNoise noise(source, static_cast<std::uint64_t>(k));
        asked = false;
        x = sampler.step(recorder, x, Step{pair.from, pair.to, k, total, &levels}, state, noise);
        detail::check_finite(x, k + 1, total);
        if (!detail::report(callback, SampleStep<T>{k + 1, total, pair.to, x, said})) break;
    }
    return x;
}

// One callback that calls several, in their order.
template <class... Callbacks>
auto in_turn(Callbacks&&... callbacks) {
    return
        [all = std::tuple<Callbacks...>(std::forward<Callbacks>(callbacks)...)]<class T>(SampleStep<T>& step) mutable {
            const auto call = [&](auto& callback) {
                if (!detail::report(callback, step)) step.stop = true;
            };
            std::apply([&](auto&... each) { (call(each), ...); }, all);
        };
}

namespace detail {

// The seeds of the pictures, one by one.
template <class T>
std::vector<std::uint64_t> seeds(const SampleOptions<T>& options, Index pictures) {
    std::vector<std::uint64_t> result = options.seeds;
    for (Index k = 0; options.seeds.empty() && k < pictures; ++k)
        result.push_back(options.seed + static_cast<std::uint64_t>(k));
    return result;
}

// The x of the first level.
template <class T, class Source>
Tensor<T> start(const Levels& levels, const SampleOptions<T>& options, Source& source) {
    if (!options.start.empty()) return options.start.clone();
    const Tensor<T> noise = source.template start<T>(options.shape);
    return levels.start_scale == 1 ? noise : combine(levels.start_scale, noise, 0, noise);
}

}  // namespace detail

// A source of noise that can start a run, as SeededNoise and DrawnNoise.
template <class Source>
concept StartNoise = requires(Source& source, const Shape& shape) {
    source.template start<float>(shape);
};

// Pictures from the noise of a given source; the options' seeds are not read. The source may be one with a memory.
template <class T = float, class Predict, class Sampler, StartNoise Source, class Callback = detail::NoCallback>
Tensor<T> sample(const Predict& predict, const Sampler& sampler, const Levels& levels, Source& source,
                 const SampleOptions<T>& options, Callback&& callback = {}) {
    typename Sampler::template State<T> state;
    return run_sampler(predict, sampler, levels, detail::start(levels, options, source), source, state, options.first,
                       std::forward<Callback>(callback));
}

// Pictures from noise. predict(x, level) -> Prediction is what denoiser() gives. Picture k depends on its seed only,
// not on the batch or on threads.
template <class T = float, class Predict, class Sampler, class Callback = detail::NoCallback>
Tensor<T> sample(const Predict& predict, const Sampler& sampler, const Levels& levels, const SampleOptions<T>& options,
                 Callback&& callback = {}) {
    const Shape shape = options.start.empty() ? options.shape : options.start.shape();
    check(shape.rank() >= 2, "sampling: expected a batch of pictures, found shape ", shape);
    const SeededNoise source(detail::seeds(options, shape.dim(0)));
    return sample<T>(predict, sampler, levels, source, options, std::forward<Callback>(callback));
}

}  // namespace genmod::diffusion
