// Labelled pictures in a safetensors file: pictures [n, h, w, c] of bytes, tensors of labels [n], and the names behind
// the labels as JSON lists in the metadata.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/data/images.hpp"
#include "genmod/io/dtype.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/safetensors.hpp"

namespace genmod::data {

namespace detail {

// The names of the classes of `labels`: the metadata "classes" of labels "class", "vendors" of "vendor", "categories"
// or just "category" of "category". Without them the numbers are the names.
inline std::vector<std::string> class_names(const io::Safetensors& file, const std::string& labels, Index classes) {
    std::vector<std::string> keys{labels, labels + "s", labels + "es"};
    if (labels.ends_with('y')) keys.push_back(labels.substr(0, labels.size() - 1) + "ies");
    std::vector<std::string> names;
    for (const std::string& key : keys) {
        const auto found = file.metadata().find(key);
        if (found == file.metadata().end()) continue;
        const io::Json list = io::parse_json(found->second, message(file.name(), ": metadata ", key));
        names = io::Config(io::Json::Members{{key, list}}, file.name()).texts(key);
        if (static_cast<Index>(names.size()) < classes)
            fail(ErrorCode::bad_file, file.name(), ": metadata ", key, " names ", names.size(), " classes, tensor ",
                 labels, " has ", classes);
        return names;
    }
    for (Index label = 0; label < classes; ++label) names.push_back(std::to_string(label));
    return names;
}

}  // namespace detail

// The pictures of the one byte tensor [n, h, w, c] whose name begins with "images", and, unless `labels` is empty, the
// labels in the tensor of that name. For a packed file: load_labelled_images(io::Safetensors(io::gunzip_file(path),
// path), "class"). Throws Error(bad_file).
inline Images load_labelled_images(const io::Safetensors& file, const std::string& labels = "") {
    const io::SafetensorsEntry* pictures = nullptr;
    for (const io::SafetensorsEntry& entry : file.entries())
        if (entry.name.starts_with("images") && entry.dtype == io::Dtype::u8 && entry.shape.rank() == 4) {
            if (pictures != nullptr) fail(ErrorCode::bad_file, file.name(), ": more than one tensor of pictures");
            pictures = &entry;
        }
    if (pictures == nullptr || pictures->shape.size() == 0)
        fail(ErrorCode::bad_file, file.name(), ": no byte tensor images... of shape [n, h, w, c] with pictures in it");
    Images images{file.read<std::uint8_t>(pictures->name), {}, {}};
    if (labels.empty()) return images;
    const auto numbers = file.read<std::uint32_t>(labels, Shape{images.size()});
    const std::uint32_t largest = *std::max_element(numbers.begin(), numbers.end());
    if (largest >= 1'000'000)
        fail(ErrorCode::bad_file, file.name(), ": tensor ", labels, ": label ", largest,
             " is over the limit of 999999");
    images.labels.assign(numbers.begin(), numbers.end());
    images.class_names = detail::class_names(file, labels, Index{largest} + 1);
    return images;
}

inline Images load_labelled_images(const std::string& path, const std::string& labels = "") {
    return load_labelled_images(io::Safetensors(path), labels);
}

}  // namespace genmod::data
