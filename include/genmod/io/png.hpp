// Writing PNG files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/atomic_file.hpp"
#include "genmod/io/image.hpp"
#include "genmod/io/png_chunks.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io {

namespace detail {

// A PNG without texts. A template only so that genmod::compiled can hold its one instance.
template <class Picture>
Bytes encode_pixels(const Picture& image);

}  // namespace detail

// The picture as a PNG file, with texts right behind the header. The same bytes for the same picture. Throws
// Error(argument) when the picture is empty or over 16384 pixels a side, or a keyword is not 1-79 ASCII characters.
inline Bytes encode_png(const Image& image, const PngText& text = {}) {
    Bytes png = detail::encode_pixels(image);
    constexpr std::ptrdiff_t header = 8 + 12 + 13;
    Bytes chunks;
    for (const auto& [keyword, value] : text) detail::append_text_chunk(chunks, keyword, value);
    png.insert(png.begin() + header, chunks.begin(), chunks.end());
    return png;
}

// Writes one picture. Throws also Error(io); then an old file is still there.
inline void write_png(const std::string& path, const Image& image, const PngText& text = {}) {
    write_file(path, std::span<const std::uint8_t>(encode_png(image, text)));
}

// Writes images [n, h, w, c] or [h, w, c] in [-1, 1] as one sheet of rows of `columns`; see grid().
template <class T>
void write_png(const std::string& path, const Tensor<T>& images, Index columns = 1, const PngText& text = {}) {
    write_png(path, grid(images, columns), text);
}

}  // namespace genmod::io

#ifndef GENMOD_COMPILED
#include "genmod/io/impl/png.hpp"
#endif
