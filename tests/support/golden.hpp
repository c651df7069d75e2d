// Golden files: numbers that PyTorch or diffusers computed (tests/reference), and how ours are compared with them.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/io/safetensors.hpp"
#include "tests/support/catch.hpp"

namespace genmod::test {

// PyTorch's [n, c, h, w] as [n, h, w, c], and with it its weights [out, in, kh, kw] as [out, kh, kw, in]. Tensors that
// do not have four axes stay as they are.
template <class T>
Tensor<T> channels_last(const Tensor<T>& x) {
    if (x.rank() != 4) return x;
    const Index n = x.dim(0), c = x.dim(1), pixels = x.dim(2) * x.dim(3);
    Tensor<T> result({n, x.dim(2), x.dim(3), c});
    for (Index k = 0; k < x.size(); ++k) result[(k / c / pixels * pixels + k % pixels) * c + k / pixels % c] = x[k];
    return result;
}

// Position k of a tensor in words: "[0, 3, 1]".
inline std::string position(const Shape& shape, Index k) {
    std::string text;
    for (Index axis = shape.rank() - 1; axis >= 0; k /= std::max<Index>(1, shape.dim(axis--)))
        text = std::to_string(k % std::max<Index>(1, shape.dim(axis))) + (text.empty() ? "" : ", ") + text;
    return "[" + text + "]";
}

// Requires |found - expected| <= tolerance * scale for every number; `scale` has one number or as many.
template <class T>
void require_close(const std::string& what, const Tensor<T>& found, const Tensor<double>& expected,
                   const Tensor<double>& scale, double tolerance) {
    INFO(what);
    REQUIRE(to_string(found.shape()) == to_string(expected.shape()));
    REQUIRE((scale.size() == 1 || scale.size() == found.size()));
    double worst = -1;
    Index place = 0;
    for (Index k = 0; k < found.size(); ++k) {
        const double error = std::abs(static_cast<double>(found[k]) - expected[k]);
        const double size = scale[scale.size() == 1 ? 0 : k];
        double relative = error == 0 ? 0 : error / size;
        if (!(relative >= 0)) relative = HUGE_VAL;  // NaN is the worst of all
        if (relative > worst) {
            worst = relative;
            place = k;
        }
    }
    if (found.size() == 0) return;
    INFO("at " << position(found.shape(), place) << ": found " << found[place] << ", expected " << expected[place]
               << ", scale " << scale[scale.size() == 1 ? 0 : place]);
    REQUIRE(worst <= tolerance);
}

// Where a layer's golden numbers do not say otherwise: the largest magnitude is the scale.
inline Tensor<double> peak(const Tensor<double>& tensor, double least = 0) {
    double largest = least;
    for (const double value : tensor) largest = std::max(largest, std::abs(value));
    return Tensor<double>::full({1}, largest);
}

// A golden file of tests/golden.
class Golden {
public:
    explicit Golden(const std::string& name) : name_(name), file_(path(name)) {}

    static std::string path(const std::string& name) { return std::string(GENMOD_GOLDEN_DIR) + "/" + name; }

    const io::Safetensors& file() const { return file_; }
    bool has(const std::string& key) const { return file_.has(key); }

    // The numbers as they lie in the file.
    template <class T>
    Tensor<T> raw(const std::string& key) const {
        return file_.template read<T>(key);
    }
    // The numbers with channels last, if they are an image or a convolution's weight.
    template <class T>
    Tensor<T> read(const std::string& key) const {
        return channels_last(raw<T>(key));
    }
    // Whole numbers: labels, steps.
    std::vector<Index> indices(const std::string& key) const {
        const Tensor<Index> numbers = raw<Index>(key);
        return {numbers.begin(), numbers.end()};
    }

    // Requires agreement within tolerance * the scale that lies beside `key` in the file, or else its largest
    // magnitude.
    template <class T>
    void require_close(const std::string& key, const Tensor<T>& found, double tolerance) const {
        const Tensor<double> expected = read<double>(key);
        const Tensor<double> scale = has(key + ".scale") ? read<double>(key + ".scale") : peak(expected);
        test::require_close(name_ + ": " + key, found, expected, scale, tolerance);
    }

private:
    std::string name_;
    io::Safetensors file_;
};

// What a layer may differ by, in parts of its scale. The files hold floats, so double cannot be asked for more.
template <class T>
inline constexpr double layer_tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-7;

// Compares function(inputs) with <name>/y and the gradients with <name>/d<input>, where `inputs` names tensors of the
// case. `function` takes a vector of Vars.
template <class T, class Function>
void check_layer(const Golden& golden, const std::string& name, const std::vector<std::string>& inputs,
                 Function&& function) {
    std::vector<Var<T>> leaves;
    for (const std::string& input : inputs) leaves.push_back(Var<T>::parameter(golden.read<T>(name + "/" + input)));
    const Var<T> y = function(leaves);
    golden.require_close(name + "/y", y.value(), layer_tolerance<T>);
    const auto grads = grad(y, leaves, golden.read<T>(name + "/dy"));
    for (std::size_t k = 0; k < inputs.size(); ++k)
        golden.require_close(name + "/d" + inputs[k], grads[k], layer_tolerance<T>);
}

}  // namespace genmod::test
