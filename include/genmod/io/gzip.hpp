// Unpacking gzip files. Needs zlib, so it is not in genmod.hpp: include it by name and link genmod::gzip.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "genmod/core/error.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io {

namespace detail {

enum class Packing { zlib = 15, gzip = 15 + 16 };  // zlib's windowBits

inline Bytes unpack(std::span<const std::uint8_t> packed, const std::string& name, std::uint64_t max_bytes,
                    Packing packing) {
    z_stream stream{};
    if (inflateInit2(&stream, static_cast<int>(packing)) != Z_OK)
        fail(ErrorCode::memory, name, ": no memory to unpack");
    struct Closer {
        z_stream* stream;
        ~Closer() { inflateEnd(stream); }
    } const closer{&stream};
    Bytes out;
    std::size_t used = 0;
    bool done = false;
    while (!done || (packing == Packing::gzip && !packed.empty())) {
        if (done && inflateReset(&stream) != Z_OK) fail(ErrorCode::internal, name, ": zlib: reset failed");
        if (used == out.size())  // one byte over the limit tells whether there is more
            out.resize(static_cast<std::size_t>(std::min<std::uint64_t>(2 * used + (1 << 16), max_bytes + 1)));
        const std::size_t input = std::min<std::size_t>(packed.size(), 1u << 30);
        const std::size_t room = std::min<std::size_t>(out.size() - used, 1u << 30);
        stream.next_in = const_cast<Bytef*>(packed.data());  // zlib only reads it
        stream.avail_in = static_cast<uInt>(input);
        stream.next_out = out.data() + used;
        stream.avail_out = static_cast<uInt>(room);
        const int status = inflate(&stream, Z_NO_FLUSH);
        packed = packed.subspan(input - stream.avail_in);
        used += room - stream.avail_out;
        if (used > max_bytes) fail(ErrorCode::bad_file, name, ": unpacks to over ", max_bytes, " bytes");
        if (status == Z_MEM_ERROR) fail(ErrorCode::memory, name, ": no memory to unpack");
        if (status == Z_BUF_ERROR && packed.empty())
            fail(ErrorCode::bad_file, name, ": packed data cut off after ", used, " bytes of content");
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            fail(ErrorCode::bad_file, name, ": damaged packed data: ", stream.msg == nullptr ? "?" : stream.msg);
        done = status == Z_STREAM_END;
    }
    if (!packed.empty()) fail(ErrorCode::bad_file, name, ": ", packed.size(), " bytes after the packed data");
    out.resize(used);
    return out;
}

}  // namespace detail

// The content of gzip data (RFC 1952; several members follow one another). `name` stands for the data in messages.
// Throws Error(bad_file) when they are damaged, cut off, followed by something else, or unpack to over `max_bytes`.
inline Bytes gunzip(std::span<const std::uint8_t> packed, const std::string& name = "gzip data",
                    std::uint64_t max_bytes = std::uint64_t{1} << 32) {
    return detail::unpack(packed, name, max_bytes, detail::Packing::gzip);
}

// The content of a .gz file. Throws also Error(io).
inline Bytes gunzip_file(const std::string& path, std::uint64_t max_bytes = std::uint64_t{1} << 32) {
    return gunzip(read_file(path), path, max_bytes);
}

}  // namespace genmod::io
