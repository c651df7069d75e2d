// IDX files packed by gzip, as MNIST and Fashion-MNIST are handed out. Needs zlib, so it is not in genmod.hpp: include
// it by name and link genmod::gzip.
#pragma once

#include <string>

#include "genmod/data/idx.hpp"
#include "genmod/data/images.hpp"
#include "genmod/io/gzip.hpp"

namespace genmod::data {

// Like load_idx(), for .gz files.
inline Images load_idx_gzip(const std::string& pictures, const std::string& labels = "") {
    const auto read = [](const std::string& path) { return parse_idx(io::gunzip_file(path), path); };
    return labels.empty() ? idx_images(read(pictures), pictures)
                          : idx_images(read(pictures), pictures, read(labels), labels);
}

}  // namespace genmod::data
