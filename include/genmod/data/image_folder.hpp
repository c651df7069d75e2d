// A folder of PNG files as a set of pictures. Needs libpng, so it is not in genmod.hpp: include it by name and link
// genmod::png.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/data/images.hpp"
#include "genmod/io/image.hpp"
#include "genmod/io/png_read.hpp"

namespace genmod::data {

namespace detail {

// What lies in a folder, by name, hidden entries left out.
inline std::vector<std::filesystem::path> list_folder(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> paths;
    std::error_code error;
    std::filesystem::directory_iterator entry(folder, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
        if (entry->path().filename().native().front() != '.') paths.push_back(entry->path());
    if (error) fail(ErrorCode::io, folder.string(), ": ", error.message());
    std::sort(paths.begin(), paths.end());
    return paths;
}

inline bool is_png(const std::filesystem::path& path) {
    std::string extension = path.extension().string();
    for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return extension == ".png";
}

}  // namespace detail

// All .png files of a folder in the order of their names; where it has subfolders with such files, each is a class
// named after it. Throws Error(io), and Error(bad_file) naming the file that is damaged or not of the first one's size
// and number of channels.
inline Images load_image_folder(const std::string& folder, const io::PngLimits& limits = {}) {
    std::vector<std::pair<std::filesystem::path, Index>> files;
    std::vector<std::string> classes;
    const auto add = [&](const std::vector<std::filesystem::path>& paths, Index label) {
        for (const auto& path : paths)
            if (detail::is_png(path)) files.emplace_back(path, label);
    };
    const auto top = detail::list_folder(folder);
    std::error_code ignored;
    for (const auto& path : top) {
        if (!std::filesystem::is_directory(path, ignored)) continue;
        const std::size_t before = files.size();
        add(detail::list_folder(path), static_cast<Index>(classes.size()));
        if (files.size() > before) classes.push_back(path.filename().string());
    }
    if (classes.empty()) add(top, 0);
    if (files.empty()) fail(ErrorCode::bad_file, folder, ": no .png files in it or its subfolders");

    Images images;
    images.class_names = classes;
    for (std::size_t i = 0; i < files.size(); ++i) {
        const std::string path = files[i].first.string();
        const io::Image image = io::read_png(path, limits);
        const Shape shape{image.height, image.width, image.channels};
        if (i == 0) images.pixels = Tensor<std::uint8_t>(shape.inserted(0, static_cast<Index>(files.size())));
        const Shape expected = images.pixels.shape().without(0);
        if (!(shape == expected))
            fail(ErrorCode::bad_file, path, ": a picture of ", shape, ", the first one of the folder is ", expected);
        std::copy(image.pixels.begin(), image.pixels.end(),
                  images.pixels.data() + static_cast<Index>(i) * shape.size());
        if (!classes.empty()) images.labels.push_back(files[i].second);
    }
    return images;
}

}  // namespace genmod::data
