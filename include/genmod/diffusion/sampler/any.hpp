// A sampler that is chosen while the program runs.
#pragma once

#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>
#include <variant>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/consistency.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/sampler/deis.hpp"
#include "genmod/diffusion/sampler/dpm_solver_multistep.hpp"
#include "genmod/diffusion/sampler/dpm_solver_singlestep.hpp"
#include "genmod/diffusion/sampler/dpmpp_2s_ancestral.hpp"
#include "genmod/diffusion/sampler/dpmpp_sde.hpp"
#include "genmod/diffusion/sampler/euler.hpp"
#include "genmod/diffusion/sampler/euler_ancestral.hpp"
#include "genmod/diffusion/sampler/heun.hpp"
#include "genmod/diffusion/sampler/kdpm2.hpp"
#include "genmod/diffusion/sampler/kdpm2_ancestral.hpp"
#include "genmod/diffusion/sampler/lcm.hpp"
#include "genmod/diffusion/sampler/lms.hpp"
#include "genmod/diffusion/sampler/pndm.hpp"
#include "genmod/diffusion/sampler/sa_solver.hpp"
#include "genmod/diffusion/sampler/tcd.hpp"
#include "genmod/diffusion/sampler/unipc.hpp"

namespace genmod::diffusion {

namespace detail {

template <class Part, class... All>
inline constexpr std::size_t place_in = 0;
template <class Part, class First, class... Rest>
inline constexpr std::size_t place_in<Part, First, Rest...> =
    std::is_same_v<Part, First> ? 0 : 1 + place_in<Part, Rest...>;

// The noise of one step behind one type, so that all samplers are compiled once for it.
template <class Number>
struct AnyNoise {
    std::function<Tensor<Number>(const Shape&)> draw;
    std::function<Tensor<Number>(const Shape&, double, double)> move;

    template <class T>
    Tensor<T> normals(const Shape& shape) {
        return draw(shape);
    }
    template <class T>
    Tensor<T> brownian(const Shape& shape, double sigma_from, double sigma_to) {
        return move(shape, sigma_from, sigma_to);
    }
};

}  // namespace detail

// One of several samplers.
template <class... Samplers>
struct SamplerAmong {
    std::variant<Samplers...> chosen = {};

    template <class T>
    struct State {
        Index kind = -1;  // which sampler's it is; -1 before the first step
        std::variant<typename Samplers::template State<T>...> held = {};

        static void visit(auto& self, auto&& f) {
            f("kind", self.kind);
            if constexpr (!std::is_const_v<std::remove_reference_t<decltype(self)>>) self.select(self.kind);
            if (self.kind >= 0) std::visit([&](auto& own) { f("state", own); }, self.held);
        }

        // An empty state of that sampler. Throws Error when there is no such.
        void select(Index wanted) {
            constexpr auto count = static_cast<Index>(sizeof...(Samplers));
            check(wanted >= -1 && wanted < count, "sampler: the state of sampler ", wanted, " of ", count);
            kind = wanted;
            emplace(static_cast<std::size_t>(wanted < 0 ? 0 : wanted), std::index_sequence_for<Samplers...>());
        }

    private:
        template <std::size_t... places>
        void emplace(std::size_t wanted, std::index_sequence<places...>) {
            (void)((places == wanted && (held.template emplace<places>(), true)) || ...);
        }
    };

    // predict(x, level) -> Prediction. Throws Error when the state is another sampler's, and as the sampler does.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state, Noise& noise) const {
        const auto kind = static_cast<Index>(chosen.index());
        if (state.kind < 0) state.select(kind);
        check(state.kind == kind, "sampler: a state of sampler ", state.kind, " given to sampler ", kind);
        const std::function<Prediction<T>(const Tensor<T>&, const NoiseLevel&)> ask =
            [&](const Tensor<T>& at_x, const NoiseLevel& level) { return predict(at_x, level); };
        detail::AnyNoise<T> any{
            [&](const Shape& shape) { return noise.template normals<T>(shape); },
            [&](const Shape& shape, double from, double to) { return noise.template brownian<T>(shape, from, to); }};
        return step_erased(ask, x, at, state, any);
    }

private:
    template <class T>
    Tensor<T> step_erased(const std::function<Prediction<T>(const Tensor<T>&, const NoiseLevel&)>& predict,
                          const Tensor<T>& x, const Step& at, State<T>& state, detail::AnyNoise<T>& noise) const {
        return std::visit(
            [&]<class Sampler>(const Sampler& sampler) -> Tensor<T> {
                auto& own = std::get<detail::place_in<Sampler, Samplers...>>(state.held);
                return sampler.step(predict, x, at, own, noise);
            },
            chosen);
    }
};

// The samplers that a program can choose among. (DPM adaptive has a loop of its own; RePaint needs a picture.)
// Functions that return one are templates, so that only programs that call them wait for the compilation of them all.
using AnySampler =
    SamplerAmong<Ddim, Ddpm, Pndm, Lms, Euler, EulerAncestral, Heun, Kdpm2, Kdpm2Ancestral, DpmSolverMultistep,
                 DpmSolverSinglestep, Dpmpp2sAncestral, DpmppSde, Deis, UniPc, SaSolver, Lcm, Tcd, Consistency>;

}  // namespace genmod::diffusion
