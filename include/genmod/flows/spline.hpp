// The monotonic rational-quadratic spline of a coupling layer (Durkan et al. 2019, "Neural spline flows").
#pragma once

#include <cmath>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/linear.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"
#include "genmod/ops/softmax.hpp"

namespace genmod::flows {

struct SplineOptions {
    Index bins = 8;
    double bound = 3;  // the spline maps [-bound, bound] onto itself; numbers beyond stay as they are
    double min_width = 1e-3, min_height = 1e-3;  // of a bin, in parts of the interval
    double min_derivative = 1e-3;                // at the knots
};

namespace detail {

// The bin of each number: the limits of the two axes, the slopes at its ends. All [n, 1].
template <class T>
struct SplineBin {
    Var<T> left, width, bottom, height, first_slope, last_slope;

    Var<T> mean_slope() const { return ops::div(height, width); }
    // first_slope + last_slope - 2 mean_slope
    Var<T> bend(const Var<T>& slope) const { return ops::sub(ops::add(first_slope, last_slope), ops::scale(slope, 2)); }
};

// All bins of n numbers, [n, bins] each.
template <class T>
class SplineBins {
public:
    SplineBins(const Var<T>& numbers, const SplineOptions& options) {
        const Index k = options.bins, n = numbers.dim(0);
        widths_ = sizes(ops::slice(numbers, 1, 0, k), options.min_width, options.bound);
        heights_ = sizes(ops::slice(numbers, 1, k, 2 * k), options.min_height, options.bound);
        lefts_ = edges(widths_, options.bound);
        bottoms_ = edges(heights_, options.bound);
        const double flat = std::log(std::exp(1 - options.min_derivative) - 1);  // softplus(flat) is 1 - min_derivative
        const Var<T> raw = ops::softplus(ops::add_scalar(ops::slice(numbers, 1, 2 * k, 3 * k - 1), flat));
        const Var<T> inner = ops::add_scalar(raw, options.min_derivative);
        const Var<T> one(Tensor<T>::full({n, 1}, T(1)));
        first_slopes_ = ops::concat({one, inner}, 1);
        last_slopes_ = ops::concat({inner, one}, 1);
    }

    // The bins in which x [n, 1] lies, by the axis of the data or of the images.
    SplineBin<T> at(const Var<T>& x, bool by_image) const {
        const Var<T> chosen(choice(by_image ? bottoms_.value() : lefts_.value(), x.value()));
        const auto pick = [&](const Var<T>& all) { return ops::sum(ops::mul(all, chosen), {1}, true); };
        SplineBin<T> bin;
        bin.left = pick(lefts_);
        bin.width = pick(widths_);
        bin.bottom = pick(bottoms_);
        bin.height = pick(heights_);
        bin.first_slope = pick(first_slopes_);
        bin.last_slope = pick(last_slopes_);
        return bin;
    }

private:
    static Var<T> sizes(const Var<T>& raw, double least, double bound) {
        const double rest = 1 - least * static_cast<double>(raw.dim(1));
        return ops::add_scalar(ops::scale(ops::softmax(raw), 2 * bound * rest), 2 * bound * least);
    }
    // Where the bins begin.
    static Var<T> edges(const Var<T>& sizes, double bound) {
        const Index k = sizes.dim(1);
        Tensor<T> before({k, k});
        for (Index i = 0; i < k * k; ++i) before[i] = i % k < i / k ? T(1) : T(0);
        return ops::add_scalar(ops::linear(sizes, Var<T>(before), Var<T>()), -bound);
    }
    // 1 at the last edge that is not above x, or at the first edge; 0 elsewhere.
    static Tensor<T> choice(const Tensor<T>& edges, const Tensor<T>& x) {
        const Index k = edges.dim(1);
        auto result = Tensor<T>::zeros(edges.shape());
        for (Index row = 0; row < edges.dim(0); ++row) {
            Index bin = 0;
            while (bin + 1 < k && edges[row * k + bin + 1] <= x[row]) ++bin;
            result[row * k + bin] = 1;
        }
        return result;
    }

    Var<T> widths_, heights_, lefts_, bottoms_, first_slopes_, last_slopes_;
};

}  // namespace detail

// Parameters [..., (3 bins - 1) c]: of each number its widths, heights and inner slopes; zeros mean the identity.
template <class T>
struct Spline : nn::Module {
    SplineOptions options;

    // Throws Error when the options are out of range.
    explicit Spline(const SplineOptions& o = {}) : options(o) {
        const auto bins = static_cast<double>(o.bins);
        check(o.bins >= 2 && o.bound > 0 && o.min_width > 0 && o.min_width * bins < 1 && o.min_height > 0 &&
                  o.min_height * bins < 1 && o.min_derivative > 0 && o.min_derivative < 1,
              "Spline: options are out of range: ", o.bins, " bins in [-", o.bound, ", ", o.bound, "]");
    }

    Index parameters() const { return 3 * options.bins - 1; }

    // log_det holds the logarithm of each number's derivative. Throws Error when the shapes do not fit.
    Transformed<T> forward(const Var<T>& x, const Var<T>& numbers) const {
        const Var<T> inner = inside(x);
        const auto bin = bins(x, numbers).at(inner, false);
        const Var<T> slope = bin.mean_slope();
        const Var<T> part = ops::div(ops::sub(inner, bin.left), bin.width);
        const Var<T> both = ops::mul(part, one_minus(part));
        const Var<T> below = ops::add(slope, ops::mul(bin.bend(slope), both));
        const Var<T> above = ops::add(ops::mul(slope, ops::square(part)), ops::mul(bin.first_slope, both));  // eq. 4
        const Var<T> y = ops::add(bin.bottom, ops::div(ops::mul(bin.height, above), below));
        return finish(x, y, log_derivative(bin, slope, part, below));
    }
    Transformed<T> inverse(const Var<T>& y, const Var<T>& numbers) const {
        const Var<T> inner = inside(y);
        const auto bin = bins(y, numbers).at(inner, true);
        const Var<T> slope = bin.mean_slope(), bend = bin.bend(slope), rise = ops::sub(inner, bin.bottom);
        const Var<T> bent = ops::mul(rise, bend);  // eq. 6 to 8
        const Var<T> a = ops::add(bent, ops::mul(bin.height, ops::sub(slope, bin.first_slope)));
        const Var<T> b = ops::sub(ops::mul(bin.height, bin.first_slope), bent);
        const Var<T> c = ops::negate(ops::mul(slope, rise));
        const Var<T> square = ops::sub(ops::square(b), ops::scale(ops::mul(a, c), 4));
        const Var<T> root = ops::sqrt(ops::clamp(square, 1e-30, 1e30));
        const Var<T> part = ops::negate(ops::div(ops::scale(c, 2), ops::add(b, root)));
        const Var<T> below = ops::add(slope, ops::mul(bend, ops::mul(part, one_minus(part))));
        const Var<T> x = ops::add(ops::mul(part, bin.width), bin.left);
        return finish(y, x, ops::negate(log_derivative(bin, slope, part, below)));
    }

    static void visit(auto&, auto&&) {}

private:
    static Var<T> one_minus(const Var<T>& x) { return ops::add_scalar(ops::negate(x), 1); }

    detail::SplineBins<T> bins(const Var<T>& x, const Var<T>& numbers) const {
        check(numbers.shape() == x.shape().with(-1, x.dim(-1) * parameters()), "spline: parameters ", numbers.shape(),
              " for numbers ", x.shape());
        return {ops::reshape(numbers, Shape{x.size(), parameters()}), options};
    }
    Var<T> inside(const Var<T>& x) const {
        return ops::reshape(ops::clamp(x, -options.bound, options.bound), Shape{x.size(), 1});
    }
    // eq. 5
    static Var<T> log_derivative(const detail::SplineBin<T>& bin, const Var<T>& slope, const Var<T>& part,
                                 const Var<T>& below) {
        const Var<T> rest = one_minus(part);
        const Var<T> last = ops::mul(bin.last_slope, ops::square(part));
        const Var<T> middle = ops::scale(ops::mul(slope, ops::mul(part, rest)), 2);
        const Var<T> first = ops::mul(bin.first_slope, ops::square(rest));
        const Var<T> above = ops::mul(ops::square(slope), ops::add(ops::add(last, middle), first));
        return ops::sub(ops::log(above), ops::scale(ops::log(below), 2));
    }
    // Numbers within the bounds as the spline moves them, the others as they are.
    Transformed<T> finish(const Var<T>& x, const Var<T>& y, const Var<T>& log) const {
        Tensor<T> within(x.shape()), beyond(x.shape());
        const T bound = static_cast<T>(options.bound);
        for (Index k = 0; k < x.size(); ++k) {
            within[k] = x.value()[k] >= -bound && x.value()[k] <= bound ? T(1) : T(0);
            beyond[k] = T(1) - within[k];
        }
        const Var<T> moved = ops::mul(ops::reshape(y, x.shape()), Var<T>(within));
        const Var<T> same = ops::mul(x, Var<T>(beyond));
        return {ops::add(moved, same), ops::mul(ops::reshape(log, x.shape()), Var<T>(within))};
    }
};

}  // namespace genmod::flows
