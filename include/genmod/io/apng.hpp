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

// The frames, all of one size, as an animated PNG; every frame is a whole picture. Throws Error(argument).
inline Bytes encode_apng(const std::vector<Image>& frames, const ApngOptions& options = {}, const PngText& text = {}) {
    check(!frames.empty() && frames.size() <= 100'000, "apng: expected 1 to 100000 frames, found ", frames.size());
    const auto in_range = [](int ms) { return ms >= 0 && ms <= 65535; };
    check(in_range(options.frame_ms) && in_range(options.last_frame_ms) && options.plays >= 0,
          "apng: times must be in 0..65535 ms and plays from 0 on");
    Bytes out(detail::png_signature, detail::png_signature + 8);
    std::uint32_t sequence = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const Image& frame = frames[i];
        check(
            frame.height == frames[0].height && frame.width == frames[0].width && frame.channels == frames[0].channels,
            "apng: frame ", i, " is ", frame.height, " x ", frame.width, " x ", frame.channels, ", the first one ",
            frames[0].height, " x ", frames[0].width, " x ", frames[0].channels);
        const Bytes png = encode_png(frame);
        const auto chunks = detail::png_chunks(png, "frame");  // IHDR, IDAT, IEND
        if (i == 0) {
            detail::append_chunk(out, "IHDR", chunks.front().data);
            for (const auto& [keyword, value] : text) detail::append_text_chunk(out, keyword, value);
            Bytes control;
            detail::append_u32(control, static_cast<std::uint32_t>(frames.size()));
            detail::append_u32(control, static_cast<std::uint32_t>(options.plays));
            detail::append_chunk(out, "acTL", control);
        }
        Bytes control;
        detail::append_u32(control, sequence++);
        control.insert(control.end(), chunks.front().data.begin(), chunks.front().data.begin() + 8);  // width, height
        detail::append_u32(control, 0);                                                               // offsets
        detail::append_u32(control, 0);
        detail::append_u16(
            control, static_cast<std::uint16_t>(i + 1 < frames.size() ? options.frame_ms : options.last_frame_ms));
        detail::append_u16(control, 1000);  // per second
        control.push_back(0);               // leave the frame
        control.push_back(0);               // put it over the last one, alpha included
        detail::append_chunk(out, "fcTL", control);
        for (const detail::PngChunk& chunk : chunks) {
            if (chunk.type != "IDAT") continue;
            Bytes data;
            if (i > 0) detail::append_u32(data, sequence++);
            data.insert(data.end(), chunk.data.begin(), chunk.data.end());
            detail::append_chunk(out, i == 0 ? "IDAT" : "fdAT", data);
        }
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
