// Pictures and labels in the IDX format of MNIST and Fashion-MNIST (http://yann.lecun.com/exdb/mnist/), unpacked.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/data/images.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::data {

// The bytes of an IDX file as a tensor. `name` stands for it in messages. Throws Error(bad_file) when it holds another
// type than bytes, or more or fewer of them than its extents say.
inline Tensor<std::uint8_t> parse_idx(std::span<const std::uint8_t> bytes, const std::string& name) {
    if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0) {
        const bool packed = bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
        fail(ErrorCode::bad_file, name,
             packed ? ": packed by gzip: use load_idx_gzip() or unpack it" : ": not an IDX file");
    }
    if (bytes[2] != 8) fail(ErrorCode::bad_file, name, ": IDX numbers of type ", bytes[2], ", expected 8 (bytes)");
    const std::size_t rank = bytes[3];
    if (rank < 1 || rank > static_cast<std::size_t>(Shape::max_rank))
        fail(ErrorCode::bad_file, name, ": IDX of rank ", rank, ", expected 1 to ", Shape::max_rank);
    const std::size_t header = 4 + 4 * rank;
    if (bytes.size() < header) fail(ErrorCode::bad_file, name, ": short by ", header - bytes.size(), " bytes");
    std::array<Index, static_cast<std::size_t>(Shape::max_rank)> extents{};
    const auto content = static_cast<Index>(bytes.size() - header);
    Index product = 1;
    bool fits = true;
    for (std::size_t axis = 0; axis < rank; ++axis) {
        const std::uint8_t* at = bytes.data() + 4 + 4 * axis;
        extents[axis] = Index{at[0]} << 24 | Index{at[1]} << 16 | Index{at[2]} << 8 | Index{at[3]};
        fits = fits && extents[axis] > 0 && extents[axis] <= content / product;  // before anything overflows
        if (fits) product *= extents[axis];
    }
    if (!fits || product != content)
        fail(ErrorCode::bad_file, name, ": the extents of the IDX header do not match the ", content,
             " bytes after it");
    Tensor<std::uint8_t> result(Shape(extents.data(), static_cast<Index>(rank)));
    std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(header), bytes.end(), result.begin());
    return result;
}

// Pictures [n, h, w] and, unless empty, their labels [n] as a set. Throws Error(bad_file).
inline Images idx_images(const Tensor<std::uint8_t>& pictures, const std::string& pictures_name,
                         const Tensor<std::uint8_t>& labels = {}, const std::string& labels_name = "") {
    if (pictures.rank() != 3)
        fail(ErrorCode::bad_file, pictures_name, ": expected pictures [n, h, w], found ", pictures.shape());
    Images images{pictures.reshape(pictures.shape().inserted(3, 1)), {}, {}};
    if (labels.empty()) return images;
    if (!(labels.shape() == Shape{images.size()}))
        fail(ErrorCode::bad_file, labels_name, ": expected labels [", images.size(), "], found ", labels.shape());
    images.labels.assign(labels.begin(), labels.end());
    const Index classes = *std::max_element(images.labels.begin(), images.labels.end()) + 1;
    for (Index label = 0; label < classes; ++label) images.class_names.push_back(std::to_string(label));
    return images;
}

// Reads a file of pictures and, unless its path is empty, one of labels. Throws Error(bad_file), Error(io).
inline Images load_idx(const std::string& pictures, const std::string& labels = "") {
    const auto read = [](const std::string& path) { return parse_idx(io::read_file(path), path); };
    return labels.empty() ? idx_images(read(pictures), pictures)
                          : idx_images(read(pictures), pictures, read(labels), labels);
}

}  // namespace genmod::data
