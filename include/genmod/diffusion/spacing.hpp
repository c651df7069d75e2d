// Which of the T training steps a shorter sampling run visits.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"

namespace genmod::diffusion {

// leading, linspace and trailing are diffusers' (Lin et al. 2023, table 2); quadratic is the sub-sequence behind the
// published CIFAR-10 figures of DDIM (Song et al. 2021, appendix D.2), which takes many small steps near t = 0.
enum class Spacing { leading, linspace, trailing, quadratic };

inline std::string to_string(Spacing spacing) {
    switch (spacing) {
        case Spacing::leading: return "leading";
        case Spacing::linspace: return "linspace";
        case Spacing::trailing: return "trailing";
        case Spacing::quadratic: return "quadratic";
    }
    return "unknown";
}

// The spacing of that name. Throws Error for an unknown one.
inline Spacing parse_spacing(std::string_view name) {
    for (const auto spacing : {Spacing::leading, Spacing::linspace, Spacing::trailing, Spacing::quadratic})
        if (to_string(spacing) == name) return spacing;
    fail(ErrorCode::argument, "spacing: unknown name \"", name, "\"; known are leading, linspace, trailing, quadratic");
}

struct SpacingOptions {
    Spacing timestep_spacing = Spacing::leading;
    Index steps_offset = 0;  // added to each step; acts in leading only
};

// The nearest whole number; the even one of two that are equally near.
inline Index round_half_even(double value) {
    const double below = std::floor(value);
    const double rest = value - below;
    const auto lower = static_cast<Index>(below);
    if (rest != 0.5) return rest < 0.5 ? lower : lower + 1;
    return lower % 2 == 0 ? lower : lower + 1;
}

// `count` of the steps 0..train_steps-1, the noisiest first. With many quadratic steps the first numbers repeat, as in
// the original; such a step changes nothing. Throws Error unless 1 <= count <= train_steps and all steps exist.
inline std::vector<Index> timesteps(Index train_steps, Index count, const SpacingOptions& options = {}) {
    check(count >= 1 && count <= train_steps, "timesteps: asked for ", count, " of ", train_steps, " steps");
    const auto total = static_cast<double>(train_steps), n = static_cast<double>(count);
    std::vector<Index> result;
    for (Index k = count - 1; k >= 0; --k) {
        const auto i = static_cast<double>(k);
        switch (options.timestep_spacing) {
            case Spacing::leading: result.push_back(train_steps / count * k + options.steps_offset); break;
            case Spacing::linspace:
                result.push_back(round_half_even(count == 1 ? 0 : i * ((total - 1) / (n - 1))));
                break;
            case Spacing::trailing: result.push_back(round_half_even(total - (n - 1 - i) * (total / n)) - 1); break;
            case Spacing::quadratic: {
                const double root = count == 1 ? 0 : i * (std::sqrt(total * 0.8) / (n - 1));
                result.push_back(static_cast<Index>(root * root));
                break;
            }
        }
    }
    check(result.back() >= 0 && result.front() < train_steps, "timesteps: ", result.front(), "..", result.back(),
          " with steps_offset ", options.steps_offset, " leave 0..", train_steps - 1);
    return result;
}

// The list of the Euler family (Euler, Heun, LMS, KDPM2, DPM++ SDE): as timesteps(), but linspace is not rounded.
inline std::vector<double> real_timesteps(Index train_steps, Index count, const SpacingOptions& options = {}) {
    const std::vector<Index> whole = timesteps(train_steps, count, options);
    std::vector<double> result(whole.begin(), whole.end());
    if (options.timestep_spacing != Spacing::linspace || count == 1) return result;
    for (std::size_t k = 1; k + 1 < result.size(); ++k)
        result[k] = static_cast<double>(train_steps - 1) / static_cast<double>(count - 1) *
                    static_cast<double>(count - 1 - static_cast<Index>(k));
    return result;
}

// The list of the multistep family (DPM-Solver, DEIS, UniPC, SA-Solver): linspace and leading are lists of count + 1
// whose last entry is left out. The noisiest `cut` training steps are not used (diffusers' lambda_min_clipped);
// trailing then keeps its stride and has fewer entries. Throws Error unless the list falls within 0..train_steps - 1.
inline std::vector<Index> multistep_timesteps(Index train_steps, Index count, const SpacingOptions& options = {},
                                              Index cut = 0) {
    const Index used = train_steps - cut;
    check(cut >= 0 && count >= 1 && count <= used, "timesteps: asked for ", count, " of ", used, " steps");
    const double n = static_cast<double>(count), stride = static_cast<double>(train_steps) / n;
    std::vector<Index> result;
    for (Index k = 0; k < count; ++k) {
        const double left = n - static_cast<double>(k), top = static_cast<double>(used);
        if (options.timestep_spacing == Spacing::linspace) {
            result.push_back(k == 0 ? used - 1 : round_half_even(left * ((top - 1) / n)));
        } else if (options.timestep_spacing == Spacing::leading) {
            result.push_back(used / (count + 1) * (count - k) + options.steps_offset);
        } else if (options.timestep_spacing == Spacing::trailing) {
            if (top - static_cast<double>(k) * stride <= 0) break;
            result.push_back(round_half_even(top - static_cast<double>(k) * stride) - 1);
        } else {
            fail(ErrorCode::argument, "timesteps: spacing ", options.timestep_spacing,
                 " is not one of multistep solvers");
        }
        check(result.back() >= 0 && result.back() < train_steps, "timesteps: ", result.back(), " with steps_offset ",
              options.steps_offset, " leaves 0..", train_steps - 1);
        check(k == 0 || result.back() < result[result.size() - 2], "timesteps: ", count, " steps are too many, ",
              result.back(), " comes twice");
    }
    return result;
}

}  // namespace genmod::diffusion
