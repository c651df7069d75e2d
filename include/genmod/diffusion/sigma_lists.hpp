// Falling lists of sigmas (noise at signal 1), without the last one, as the field knows them by name.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/beta_quantile.hpp"

namespace genmod::diffusion {

// Where a list begins (largest) and ends (smallest).
struct SigmaRange {
    double smallest = 0;
    double largest = 0;
};

namespace detail {

// Number k of `count` evenly spaced ones; the last is exact.
inline double even(double first, double last, Index k, Index count) {
    if (k > 0 && k == count - 1) return last;
    return first + (count == 1 ? 0 : (last - first) / static_cast<double>(count - 1)) * static_cast<double>(k);
}

// function(k) for k = 0..count-1. Throws Error unless count is in 1..1000000 and the range makes sense.
template <class Function>
std::vector<double> sigma_list(Index count, const SigmaRange& range, Function function) {
    check(count >= 1 && count <= 1000000, "sigmas: a list of ", count, " is not in 1..1000000");
    check(range.smallest > 0 && range.largest >= range.smallest && is_finite(range.largest), "sigmas: from ",
          range.largest, " down to ", range.smallest, " is no way down to less noise");
    std::vector<double> sigmas;
    for (Index k = 0; k < count; ++k) sigmas.push_back(function(k));
    return sigmas;
}

}  // namespace detail

// Even in sigma^(1 / rho) (Karras et al. 2022, eq. 5).
inline std::vector<double> karras_sigmas(Index count, const SigmaRange& range, double rho = 7) {
    check(rho > 0 && is_finite(rho), "karras sigmas: rho ", rho, " is not positive");
    const double first = std::pow(range.largest, 1 / rho), last = std::pow(range.smallest, 1 / rho);
    return detail::sigma_list(
        count, range, [&](Index k) { return std::pow(first + detail::even(0, 1, k, count) * (last - first), rho); });
}

// Even in log(sigma): "exponential", and the "lu" of Lu et al. 2022.
inline std::vector<double> exponential_sigmas(Index count, const SigmaRange& range) {
    const double first = std::log(range.largest), last = std::log(range.smallest);
    return detail::sigma_list(count, range, [&](Index k) { return std::exp(detail::even(first, last, k, count)); });
}

// log(sigma) falls with the power rho of what is left of the way (k-diffusion); rho 1 is exponential.
inline std::vector<double> polyexponential_sigmas(Index count, const SigmaRange& range, double rho = 1) {
    check(rho > 0 && is_finite(rho), "polyexponential sigmas: rho ", rho, " is not positive");
    const double high = std::log(range.largest), low = std::log(range.smallest);
    return detail::sigma_list(count, range, [&](Index k) {
        return std::exp(std::pow(detail::even(1, 0, k, count), rho) * (high - low) + low);
    });
}

// Dense at both ends: quantiles of a beta distribution between the ends (Lee et al. 2024, "Beta sampling is all you
// need").
inline std::vector<double> beta_sigmas(Index count, const SigmaRange& range, double a = 0.6, double b = 0.6) {
    return detail::sigma_list(count, range, [&](Index k) {
        return range.smallest +
               beta_quantile(1 - detail::even(0, 1, k, count), a, b) * (range.largest - range.smallest);
    });
}

// Even in atan(sigma) (Sabour et al. 2024, "Align your steps", theorem 3.1).
inline std::vector<double> kl_optimal_sigmas(Index count, const SigmaRange& range) {
    const double first = std::atan(range.largest), last = std::atan(range.smallest);
    return detail::sigma_list(count, range, [&](Index k) { return std::tan(detail::even(first, last, k, count)); });
}

// The continuous variance-preserving process with beta(u) = beta_min + beta_d u, even in u from 1 to eps (Song et al.
// 2021; Karras et al. 2022, table 1).
inline std::vector<double> vp_sigmas(Index count, double beta_d = 19.9, double beta_min = 0.1, double eps = 1e-3) {
    check(beta_d >= 0 && beta_min >= 0 && beta_d + beta_min > 0 && beta_d + beta_min < 1000 && eps > 0 && eps <= 1,
          "vp sigmas: beta_d ", beta_d, ", beta_min ", beta_min, " or eps ", eps, " out of range");
    const auto sigma = [&](double u) { return std::sqrt(std::expm1(beta_d * u * u / 2 + beta_min * u)); };
    return detail::sigma_list(count, {sigma(eps), sigma(1)},
                              [&](Index k) { return sigma(detail::even(1, eps, k, count)); });
}

// Which models the levels of "Align your steps" (Sabour et al. 2024) were sought for.
enum class AysModel { stable_diffusion_1, stable_diffusion_xl, stable_video };

// The levels of "Align your steps", without the last one: ten published steps, or their log-linear interpolation.
inline std::vector<double> ays_sigmas(Index count, AysModel model = AysModel::stable_diffusion_1) {
    static constexpr std::array<std::array<double, 11>, 3> tables{
        {{14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092, 0.9642583904,
          0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582},
         {14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141, 0.5550693289,
          0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582},
         {700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002}}};
    const auto& table = tables.at(static_cast<std::size_t>(model));
    return detail::sigma_list(count, {table.back(), table.front()}, [&](Index k) {
        const double place = detail::even(0, 10, k, count + 1);
        const auto above = static_cast<std::size_t>(place);
        const double part = place - static_cast<double>(above);
        return std::exp((1 - part) * std::log(table[above]) +
                        part * std::log(table[std::min<std::size_t>(above + 1, 10)]));
    });
}

}  // namespace genmod::diffusion
