// Weights to and from files, by the modules' own keys, in PyTorch's layout.
#pragma once

#include <algorithm>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/dtype.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/io/safetensors_writer.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/kept_weight.hpp"

namespace genmod::nn {

namespace detail {

inline bool reordered(Layout layout) { return layout == Layout::conv || layout == Layout::conv_transposed; }

// [a, kh, kw, b] in memory is [a, b, kh, kw] in a file.
inline Shape file_shape(const Shape& shape, Layout layout) {
    if (!reordered(layout)) return shape;
    check(shape.rank() == 4, "nn: a convolution's weight has four axes, found ", shape);
    return {shape.dim(0), shape.dim(3), shape.dim(1), shape.dim(2)};
}

// Copies [outer, rows, cols] to [outer, cols, rows].
template <class T>
void swap_axes(Index outer, Index rows, Index cols, const T* from, T* to) {
    for (Index block = 0; block < outer; ++block, from += rows * cols)
        for (Index col = 0; col < cols; ++col)
            for (Index row = 0; row < rows; ++row) *to++ = from[row * cols + col];
}

template <class T>
Tensor<T> to_file_layout(const Tensor<T>& value, Layout layout) {
    if (!reordered(layout)) return value;
    Tensor<T> result(file_shape(value.shape(), layout));
    const Shape& shape = value.shape();
    swap_axes(shape.dim(0), shape.dim(1) * shape.dim(2), shape.dim(3), value.data(), result.data());
    return result;
}

// Overwrites the numbers of `value`, which keeps its buffer.
template <class T>
void from_file_layout(const Tensor<T>& file, Layout layout, Tensor<T>& value) {
    if (!reordered(layout)) return value.assign(file);
    const Shape& shape = value.shape();
    swap_axes(shape.dim(0), shape.dim(3), shape.dim(1) * shape.dim(2), file.data(), value.data());
}

template <class T>
Tensor<T>& tensor_of(Tensor<T>& leaf) {
    return leaf;
}
template <class T>
Tensor<T>& tensor_of(Var<T>& leaf) {
    return leaf.value();
}
template <class T>
Tensor<T> tensor_of(const Tensor<T>& leaf) {
    return leaf;
}
template <class T>
Tensor<T> tensor_of(const Var<T>& leaf) {
    return ops::numbers(leaf);
}

}  // namespace detail

struct SaveOptions {
    std::string prefix = {};              // stands before every key: "unet." say
    std::optional<io::Dtype> dtype = {};  // what floats are stored as; empty: as they are
};

// Adds every leaf of a model to a file that is being put together.
template <class Model>
void save(const Model& model, io::SafetensorsWriter& file, const SaveOptions& options = {}) {
    for_each_leaf(model, [&](const std::string& key, const auto& leaf, Layout layout) {
        const auto value = detail::to_file_layout(detail::tensor_of(leaf), layout);
        using T = typename decltype(value)::value_type;
        constexpr bool whole = std::integral<T>;
        file.add(options.prefix + key, value, !whole && options.dtype ? *options.dtype : io::dtype_of<T>());
    });
}

// Writes a model's file. Throws Error(io); then an old file is still there.
template <class Model>
void save(const Model& model, const std::string& path, const SaveOptions& options = {}) {
    io::SafetensorsWriter file;
    file.set_metadata("format", "pt");
    save(model, file, options);
    file.save(path);
}

struct LoadOptions {
    std::string prefix = {};                // only tensors whose names begin so are the model's; it is cut off
    bool strict = true;                     // throw unless model and file have the same tensors
    std::vector<std::string> ignored = {};  // keys that the file may have and the model not
};

// How a file differs from a model: keys, sorted; those of another shape with both shapes.
struct LoadReport {
    std::vector<std::string> missing;
    std::vector<std::string> left_over;
    std::vector<std::string> misshapen;

    bool complete() const { return missing.empty() && left_over.empty() && misshapen.empty(); }

    friend std::string to_string(const LoadReport& report) {
        std::string text;
        const auto tell = [&](const std::vector<std::string>& list, const char* what) {
            if (list.empty()) return;
            text += message(text.empty() ? "" : "; ", list.size(), " ", what, ": ");
            for (std::size_t k = 0; k < std::min<std::size_t>(list.size(), 5); ++k)
                text += (k == 0 ? "" : ", ") + list[k];
            if (list.size() > 5) text += message(" and ", list.size() - 5, " more");
        };
        tell(report.missing, "missing");
        tell(report.misshapen, "of another shape");
        tell(report.left_over, "left over");
        return text;
    }
};

// Compares the keys and shapes of a model with a file's; reads no numbers.
template <class Model>
LoadReport compare(const Model& model, const io::Safetensors& file, const LoadOptions& options = {}) {
    LoadReport report;
    std::vector<std::string> known = options.ignored;
    for_each_leaf(model, [&](const std::string& key, const auto& leaf, Layout layout) {
        known.push_back(key);
        const Shape expected = detail::file_shape(leaf.shape(), layout);
        if (!file.has(options.prefix + key))
            report.missing.push_back(key);
        else if (const Shape& found = file.entry(options.prefix + key).shape; !(found == expected))
            report.misshapen.push_back(message(key, " (expected ", expected, ", found ", found, ")"));
    });
    std::sort(known.begin(), known.end());
    for (const io::SafetensorsEntry& entry : file.entries()) {
        if (!entry.name.starts_with(options.prefix)) continue;
        const std::string key = entry.name.substr(options.prefix.size());
        if (!std::binary_search(known.begin(), known.end(), key)) report.left_over.push_back(key);
    }
    std::sort(report.missing.begin(), report.missing.end());
    std::sort(report.misshapen.begin(), report.misshapen.end());
    return report;
}

// Overwrites the model's numbers with the file's. Throws Error(bad_file) before touching the model when strict and
// anything is missing, left over or of another shape; lenient loading takes what fits and reports the rest.
// Numbers that turn out damaged are an Error(bad_file) too; the model is changed in part then.
template <class Model>
LoadReport load(Model& model, const io::Safetensors& file, const LoadOptions& options = {}) {
    LoadReport report = compare(model, file, options);
    if (options.strict && !report.complete())
        fail(ErrorCode::bad_file, file.name(), ": does not fit the model: ", report);
    for_each_leaf(model, [&](const std::string& key, auto& leaf, Layout layout) {
        const std::string name = options.prefix + key;
        auto& value = detail::tensor_of(leaf);
        using T = typename std::remove_reference_t<decltype(value)>::value_type;
        if (!file.has(name) || !(file.entry(name).shape == detail::file_shape(value.shape(), layout))) return;
        detail::from_file_layout(file.template read<T>(name), layout, value);
    });
    return report;
}

template <class Model>
LoadReport load(Model& model, const std::string& path, const LoadOptions& options = {}) {
    return load(model, io::Safetensors(path), options);
}

// Puts every leaf of a model, an optimiser or an EMA into a checkpoint, under `prefix`.
template <class Model>
void put_state(const Model& model, io::Checkpoint& checkpoint, const std::string& prefix) {
    for_each_leaf(model, [&](const std::string& key, const auto& leaf, Layout layout) {
        checkpoint.put(prefix + key, detail::to_file_layout(detail::tensor_of(leaf), layout));
    });
}

// Gets them back, exactly. Throws Error(bad_file) when one is missing, of another shape or type, or damaged; the model
// may be changed in part then.
template <class Model>
void get_state(Model& model, io::Checkpoint& checkpoint, const std::string& prefix) {
    for_each_leaf(model, [&](const std::string& key, auto& leaf, Layout layout) {
        auto& value = detail::tensor_of(leaf);
        using T = typename std::remove_reference_t<decltype(value)>::value_type;
        detail::from_file_layout(checkpoint.template get<T>(prefix + key, detail::file_shape(value.shape(), layout)),
                                 layout, value);
    });
}

}  // namespace genmod::nn
