// Writing files that are either complete or not there: pictures and checkpoints alike.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "genmod/core/error.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io {

// Collects the new content in `<path>.genmod-tmp` beside the target; commit() puts it in the target's place once it is
// on the disk. Whatever fails, or when commit() is never called, the old file stays as it was and the temporary one is
// removed. One left behind by a killed process is taken over by the next save. A link to a file is followed.
class AtomicFile {
public:
    // Throws Error(io): no permission, no such folder, target not a regular file, or somebody else is writing it.
    explicit AtomicFile(const std::string& path) : path_(resolve(path)), temporary_(path_ + ".genmod-tmp") {
        struct stat old {};
        const bool exists = ::stat(path_.c_str(), &old) == 0;
        if (exists && !S_ISREG(old.st_mode))
            fail(ErrorCode::io, path_, ": cannot replace ", detail::kind_of(old.st_mode), " by a file");
        while (!open_temporary()) {}
        try {
            if (::ftruncate(fd_.get(), 0) != 0) refuse("emptying", errno);
            if (exists && ::fchmod(fd_.get(), old.st_mode & 07777) != 0) refuse("setting the mode of", errno);
        } catch (...) {
            ::unlink(temporary_.c_str());
            throw;
        }
    }
    ~AtomicFile() {
        if (fd_.get() >= 0) ::unlink(temporary_.c_str());
    }
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    // Throws Error(io), for example when the disk is full.
    void write(std::span<const std::uint8_t> bytes) {
        while (!bytes.empty()) {
            const std::size_t chunk = std::min(bytes.size(), std::size_t{1} << 30);
            const ssize_t done = ::write(fd_.get(), bytes.data(), chunk);
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) refuse("writing", done < 0 ? errno : ENOSPC);
            bytes = bytes.subspan(static_cast<std::size_t>(done));
        }
    }

    // Makes the new content the file. Throws Error(io); then the old file is still there.
    void commit() {
        if (::fsync(fd_.get()) != 0) refuse("syncing", errno);
        if (::rename(temporary_.c_str(), path_.c_str()) != 0) refuse("renaming", errno);
        const detail::Descriptor written(fd_.release());
        const std::size_t slash = path_.rfind('/');
        const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
        const detail::Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (opened.get() >= 0 && ::fsync(opened.get()) != 0 && errno != EINVAL && errno != ENOTSUP)
            fail(ErrorCode::io, "syncing folder ", folder, ": ", system_message(errno));
    }

private:
    static std::string resolve(const std::string& path) {
        if (path.empty() || path.find('\0') != std::string::npos) fail(ErrorCode::io, "'", path, "' names no file");
        struct stat status {};
        if (::lstat(path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return path;
        const std::unique_ptr<char, void (*)(void*)> target(::realpath(path.c_str(), nullptr), std::free);
        if (target == nullptr) fail(ErrorCode::io, path, ": link leads nowhere: ", system_message(errno));
        return target.get();
    }

    // Opens and locks the temporary file; false when another process renamed or removed it in between.
    bool open_temporary() {
        fd_ = detail::Descriptor(
            ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
        struct stat mine {
        }, named{};
        if (fd_.get() < 0 || ::fstat(fd_.get(), &mine) != 0) refuse("opening", errno);
        if (!S_ISREG(mine.st_mode)) fail(ErrorCode::io, temporary_, ": is in the way: ", detail::kind_of(mine.st_mode));
        if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)  // some file systems have no locks
            fail(ErrorCode::io, path_, ": somebody else is writing this file right now");
        return ::stat(temporary_.c_str(), &named) == 0 && named.st_ino == mine.st_ino && named.st_dev == mine.st_dev;
    }

    [[noreturn]] void refuse(const char* doing, int error) const {
        fail(ErrorCode::io, doing, " ", temporary_, ": ", system_message(error), "; ", path_, " is as it was");
    }

    std::string path_;
    std::string temporary_;
    detail::Descriptor fd_;
};

// Replaces or creates the file in one go. Throws Error(io).
inline void write_file(const std::string& path, std::span<const std::uint8_t> bytes) {
    AtomicFile file(path);
    file.write(bytes);
    file.commit();
}

// The same for text.
inline void write_file(const std::string& path, const std::string& text) { write_file(path, detail::bytes_of(text)); }

}  // namespace genmod::io
