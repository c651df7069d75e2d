// Runge-Kutta methods: their tables, and the arithmetic of a step on a state of several tensors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod::nn {

// Orders 1, 2, 4 and 5. rk4 is Kutta's 3/8 rule, as in torchdiffeq; dopri5 is Dormand and Prince's pair of orders 5 and
// 4 (1980), whose difference steers the size of its steps.
enum class OdeMethod { euler, midpoint, rk4, dopri5 };

namespace detail {

// Stage i asks at t + times[i] * h and y + h * sum over j of stages[i][j] * slope j; a step goes to
// y + h * sum of weights * slopes and is off by about h * sum of error * slopes.
struct ButcherTableau {
    std::vector<double> times;
    std::vector<std::vector<double>> stages;
    std::vector<double> weights;
    std::vector<double> error = {};
};

inline ButcherTableau butcher_tableau(OdeMethod method) {
    switch (method) {
        case OdeMethod::euler: return {{0}, {{}}, {1}};
        case OdeMethod::midpoint: return {{0, 0.5}, {{}, {0.5}}, {0, 1}};
        case OdeMethod::rk4:
            return {{0, 1.0 / 3, 2.0 / 3, 1},
                    {{}, {1.0 / 3}, {-1.0 / 3, 1}, {1, -1, 1}},
                    {1.0 / 8, 3.0 / 8, 3.0 / 8, 1.0 / 8}};
        case OdeMethod::dopri5: break;
    }
    const std::vector<double> weights{35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84};
    const std::vector<double> lower{1951.0 / 21600, 0,       22642.0 / 50085, 451.0 / 720, -12231.0 / 42400,
                                    649.0 / 6300,   1.0 / 60};
    ButcherTableau result{{0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1},
                          {{},
                           {1.0 / 5},
                           {3.0 / 40, 9.0 / 40},
                           {44.0 / 45, -56.0 / 15, 32.0 / 9},
                           {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
                           {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
                           weights},
                          weights,
                          {}};
    for (std::size_t k = 0; k < lower.size(); ++k)
        result.error.push_back((k < weights.size() ? weights[k] : 0) - lower[k]);
    return result;
}

template <class T>
using OdeState = std::vector<Tensor<T>>;

// h * sum of weights[i] * slopes[i], and y added to it if there is one.
template <class T>
Tensor<T> weighted_slopes(const Tensor<T>* y, double h, const std::vector<double>& weights,
                          const std::vector<OdeState<T>>& slopes, std::size_t part) {
    Tensor<T> result(slopes.front()[part].shape());
    T* out = result.data();
    parallel_ranges(result.size(), 8192, [&](Index first, Index last) {
        std::fill(out + first, out + last, T(0));
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const T weight = static_cast<T>(h * weights[i]);
            const T* slope = slopes[i][part].data();
            for (Index k = first; k < last; ++k) out[k] += weight * slope[k];
        }
        if (y != nullptr)
            for (Index k = first; k < last; ++k) out[k] += y->data()[k];
    });
    return result;
}

template <class T>
OdeState<T> moved(const OdeState<T>& y, double h, const std::vector<double>& weights,
                  const std::vector<OdeState<T>>& slopes) {
    OdeState<T> result;
    for (std::size_t part = 0; part < y.size(); ++part)
        result.push_back(weights.empty() ? y[part] : weighted_slopes(&y[part], h, weights, slopes, part));
    return result;
}

// The largest of the parts' root mean squares of value(part, k).
template <class T, class Value>
double largest_rms(const OdeState<T>& y, Value value) {
    double largest = 0;
    for (std::size_t part = 0; part < y.size(); ++part) {
        double sum = 0;
        for (Index k = 0; k < y[part].size(); ++k) {
            const double number = value(part, k);
            sum += number * number;
        }
        const double rms = std::sqrt(sum / static_cast<double>(std::max<Index>(1, y[part].size())));
        if (!(rms <= largest)) largest = rms;  // NaN stays
    }
    return largest;
}

}  // namespace detail

}  // namespace genmod::nn
