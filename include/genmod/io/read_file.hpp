// Reading regular files, whole or piece by piece.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"

namespace genmod::io {

using Bytes = std::vector<std::uint8_t>;

// The system's words for an errno value, without the races of strerror().
inline std::string system_message(int error) { return std::generic_category().message(error); }

namespace detail {

// A text from a file as part of a message: in quotes, cut to 80 bytes, control characters replaced.
inline std::string in_quotes(std::string_view text) {
    std::string result = "'";
    for (const char c : text.substr(0, text.size() <= 80 ? 80 : 77))
        result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    return result + (text.size() <= 80 ? "'" : "...'");
}

inline std::span<const std::uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// A file descriptor that closes itself.
class Descriptor {
public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

private:
    int fd_;
};

inline const char* kind_of(mode_t mode) {
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISFIFO(mode)) return "a named pipe";
    if (S_ISSOCK(mode)) return "a socket";
    if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
    return "something else";
}

}  // namespace detail

// A regular file open for reading. Links are followed. Reads from several threads do not disturb each other.
class ReadFile {
public:
    // Throws Error(io) when the system refuses, Error(bad_file) for folders, pipes and devices (without waiting).
    explicit ReadFile(const std::string& path) : path_(path) {
        if (path.empty() || path.find('\0') != std::string::npos) fail(ErrorCode::io, "'", path, "' names no file");
        fd_ = detail::Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        struct stat status {};
        if (fd_.get() < 0 || ::fstat(fd_.get(), &status) != 0) fail(ErrorCode::io, path, ": ", system_message(errno));
        if (!S_ISREG(status.st_mode))
            fail(ErrorCode::bad_file, path, ": expected a regular file, found ", detail::kind_of(status.st_mode));
        size_ = static_cast<std::uint64_t>(status.st_size);
    }

    const std::string& path() const { return path_; }

    // In bytes, when it was opened.
    std::uint64_t size() const { return size_; }

    // Fills `out` with the bytes from `offset` on. Throws Error(io) when the file ends before.
    void read_at(std::uint64_t offset, std::span<std::uint8_t> out) const {
        while (!out.empty()) {
            const std::size_t chunk = std::min(out.size(), std::size_t{1} << 30);
            const ssize_t got = ::pread(fd_.get(), out.data(), chunk, static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) fail(ErrorCode::io, path_, ": ", system_message(errno));
            if (got == 0)
                fail(ErrorCode::io, path_, ": ends at byte ", offset, ", ", out.size(),
                     " bytes too early; did it shrink while it was read?");
            out = out.subspan(static_cast<std::size_t>(got));
            offset += static_cast<std::uint64_t>(got);
        }
    }

private:
    std::string path_;
    detail::Descriptor fd_;
    std::uint64_t size_ = 0;
};

// The whole file. Throws Error(io), and Error(bad_file) unless it is a regular file of at most `max_bytes`.
inline Bytes read_file(const std::string& path, std::uint64_t max_bytes = std::uint64_t{1} << 32) {
    const ReadFile file(path);
    if (file.size() > max_bytes)
        fail(ErrorCode::bad_file, path, ": has ", file.size(), " bytes, the limit is ", max_bytes);
    Bytes bytes(static_cast<std::size_t>(file.size()));
    file.read_at(0, bytes);
    return bytes;
}

// The same as text.
inline std::string read_text_file(const std::string& path, std::uint64_t max_bytes = std::uint64_t{1} << 24) {
    const Bytes bytes = read_file(path, max_bytes);
    return std::string(bytes.begin(), bytes.end());
}

}  // namespace genmod::io
