// Finds the pictures that a program is to learn from.
#pragma once

#include <filesystem>
#include <string>

#include "genmod/data/idx.hpp"
#include "genmod/data/idx_gzip.hpp"
#include "genmod/data/image_folder.hpp"
#include "genmod/data/images.hpp"
#include "genmod/data/labelled_images.hpp"
#include "genmod/io/gzip.hpp"
#include "genmod/io/safetensors.hpp"

namespace examples {

using genmod::data::Images;

// Where Debian's package dataset-fashion-mnist puts its files.
inline constexpr const char* fashion_mnist = "/usr/share/datasets/fashion-mnist";

inline const std::vector<std::string>& fashion_mnist_classes() {
    static const std::vector<std::string> names{"T-shirt", "trouser", "pullover", "dress", "coat",
                                                "sandal",  "shirt",   "sneaker",  "bag",   "ankle boot"};
    return names;
}

namespace detail {

// `part` is "train" or "t10k". Throws Error when neither the plain nor the gzip'ed files are there.
inline Images load_idx_folder(const std::filesystem::path& folder, const std::string& part) {
    const auto pictures = folder / (part + "-images-idx3-ubyte"), labels = folder / (part + "-labels-idx1-ubyte");
    if (std::filesystem::exists(pictures)) return genmod::data::load_idx(pictures, labels);
    Images images = genmod::data::load_idx_gzip(pictures.string() + ".gz", labels.string() + ".gz");
    if (folder == fashion_mnist) images.class_names = fashion_mnist_classes();
    return images;
}

inline bool holds_idx(const std::filesystem::path& folder) {
    return std::filesystem::exists(folder / "train-images-idx3-ubyte") ||
           std::filesystem::exists(folder / "train-images-idx3-ubyte.gz");
}

}  // namespace detail

// A folder with MNIST's four IDX files (plain or gzip'ed), a folder of PNG files (a sub-folder a class), or a file of
// labelled image tensors (.safetensors or .safetensors.gz). `part` chooses "train" or "t10k" of IDX files.
inline Images load_images(const std::string& path, const std::string& part = "train") {
    namespace fs = std::filesystem;
    if (fs::is_directory(path))
        return detail::holds_idx(path) ? detail::load_idx_folder(path, part) : genmod::data::load_image_folder(path);
    if (!fs::exists(path)) {
        const bool package = path == fashion_mnist;
        genmod::fail(genmod::ErrorCode::io, path, ": no such file or folder",
                     package ? "; on Debian and Ubuntu: apt-get install dataset-fashion-mnist" : "");
    }
    if (path.ends_with(".gz"))
        return genmod::data::load_labelled_images(genmod::io::Safetensors(genmod::io::gunzip_file(path), path));
    return genmod::data::load_labelled_images(path);
}

}  // namespace examples
