// Writing animated PNG files (the way from noise to picture), which programs without APNG show as their first frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/io/atomic_file.hpp"
#include "genmod/io/image.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/png_chunks.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io {

struct ApngOptions {
    int frame_ms = 100;        // how long each frame stays, in milliseconds
    int last_frame_ms = 1000;  // and the last one
    int plays = 0;             // 0: for ever
};

namespace detail {

// The chunk before a frame's pixels. `size` is width and height as in IHDR.
inline void append_frame_control(Bytes& out, std::uint32_t sequence, std::span<const std::uint8_t> size, int ms) {
    Bytes control;
    append_u32(control, sequence);
    control.insert(control.end(), size.begin(), size.end());
    append_u32(control, 0);  // offsets
    append_u32(control, 0);
    append_u16(control, static_cast<std::uint16_t>(ms));
    append_u16(control, 1000);  // per second
    control.push_back(0);       // leave the frame when it is over
    control.push_back(0);       // replace what was there
    append_chunk(out, "fcTL", control);
}

inline void append_animation_control(Bytes& out, std::size_t frames, int plays) {
    Bytes control;
    append_u32(control, static_cast<std::uint32_t>(frames));
    append_u32(control, static_cast<std::uint32_t>(plays));
    append_chunk(out, "acTL", control);
}

}  // namespace detail

// The frames, all of one size, as an animated PNG; every frame is a whole picture. Throws Error(argument).
inline Bytes encode_apng(const std::vector<Image>& frames, const ApngOptions& options = {}, const PngText& text = {}) {
    check(!frames.empty() && frames.size() <= 100'000, "apng: expected 1 to 100000 frames, found ", frames.size());
    const auto in_range = [](int ms) { return ms >= 0 && ms <= 65535; };
    check(in_range(options.frame_ms) && in_range(options.last_frame_ms) && options.plays >= 0,
          "apng: times must be in 0..65535 ms and plays from 0 on");
    const Image& first = frames[0];
    Bytes out(detail::png_signature, detail::png_signature + 8);
    std::uint32_t sequence = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const Image& frame = frames[i];
        check(frame.height == first.height && frame.width == first.width && frame.channels == first.channels,
              "apng: frame ", i, " is ", frame.height, " x ", frame.width, " x ", frame.channels, ", the first one ",
              first.height, " x ", first.width, " x ", first.channels);
        const Bytes png = encode_png(frame);
        const auto chunks = detail::png_chunks(png, "frame");  // IHDR, IDAT, IEND
        if (i == 0) {
            detail::append_chunk(out, "IHDR", chunks[0].data);
            for (const auto& [keyword, value] : text) detail::append_text_chunk(out, keyword, value);
            detail::append_animation_control(out, frames.size(), options.plays);
        }
        const bool last = i + 1 == frames.size();
        detail::append_frame_control(out, sequence++, chunks[0].data.first(8),
                                     last ? options.last_frame_ms : options.frame_ms);
        Bytes data;
        if (i > 0) detail::append_u32(data, sequence++);
        data.insert(data.end(), chunks[1].data.begin(), chunks[1].data.end());
        detail::append_chunk(out, i == 0 ? "IDAT" : "fdAT", data);
    }
    detail::append_chunk(out, "IEND", {});
    return out;
}

// Writes it. Throws also Error(io); then an old file is still there.
inline void write_apng(const std::string& path, const std::vector<Image>& frames, const ApngOptions& options = {},
                       const PngText& text = {}) {
    write_file(path, std::span<const std::uint8_t>(encode_apng(frames, options, text)));
}

}  // namespace genmod::io
