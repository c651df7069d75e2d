// Aligned buffers: a pool that hands them back, and scratch space for kernels.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "genmod/core/arena.hpp"
#include "genmod/core/types.hpp"

namespace genmod {

// Keeps freed buffers for the next request of about the same size, so that a training or sampling loop stops asking
// the system for memory after its first step. Thread-safe; buffers may be freed by another thread than the one that
// took them. A thread gets back the buffers that it freed itself as long as there are such, because its core's cache
// may still hold them. Sizes are rounded up by at most an eighth. Large buffers (256 KiB) come from one range of
// addresses in large pages, where what others left is used again whatever their sizes. Alignment is 64 bytes. Under
// AddressSanitizer it only forwards.
class Pool {
public:
    // The pool of this process. Never destroyed, so that static tensors may outlive main().
    static Pool& instance() {
        static Pool* const pool = new Pool;
        return *pool;
    }

    // At least `bytes` bytes. Throws std::bad_alloc.
    void* take(std::size_t bytes) {
        fail_when_asked();
        if (!bypassed && bytes >= large)
            if (void* buffer = from_arena(bytes)) return buffer;
        const std::size_t index = class_of(bytes);
        const std::size_t rounded = class_size(index);
        if (!bypassed)
            if (void* buffer = from_shelves(index)) return buffer;
        void* buffer = from_system(rounded);
        if (buffer == nullptr) {
            trim();
            buffer = from_system(rounded);
        }
        if (buffer == nullptr) throw std::bad_alloc();
        system_calls_.fetch_add(1, std::memory_order_relaxed);
        return buffer;
    }

    // Gives back what take(bytes) returned.
    void give(void* buffer, std::size_t bytes) noexcept {
        if (buffer == nullptr) return;
        if (arena_.owns(buffer)) {
            const std::size_t size = detail::Arena::size_of(bytes);
            const bool keep = kept_.fetch_add(size) + size <= cap_;
            kept_ -= size - arena_.give(buffer, bytes, keep);
            return;
        }
        const std::size_t index = class_of(bytes);
        if (bypassed || !put_on_shelf(buffer, index)) std::free(buffer);
    }

    // Frees all kept buffers.
    void trim() noexcept {
        for (Shelf& shelf : shelves_) {
            const std::lock_guard lock(shelf.mutex);
            for (std::size_t index = 0; index < classes; ++index) {
                for (void* buffer : shelf.free[index]) std::free(buffer);
                kept_ -= shelf.free[index].size() * class_size(index);
                shelf.free[index].clear();
            }
        }
        kept_ -= arena_.trim();
    }

    // Upper bound of the bytes kept for reuse (default: no bound).
    void set_cap(std::size_t bytes) {
        cap_ = bytes;
        if (kept_ > bytes) trim();
    }

    // Bytes kept for reuse now.
    std::size_t kept() const { return kept_; }

    // How often the system was asked for memory so far.
    std::uint64_t system_calls() const { return system_calls_.load(std::memory_order_relaxed); }

    // For tests: the k-th take() from now throws std::bad_alloc (k >= 1); 0 switches this off.
    void fail_at(std::int64_t k) { countdown_.store(k); }

private:
    Pool() = default;

#if defined(__SANITIZE_ADDRESS__)
    static constexpr bool bypassed = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    static constexpr bool bypassed = true;
#else
    static constexpr bool bypassed = false;
#endif
#else
    static constexpr bool bypassed = false;
#endif

    static constexpr std::size_t classes = 8 + 8 * 52, shelves = 16, large = std::size_t{256} << 10;

    // What some thread (or, of more than 16, every sixteenth) freed, by classes of sizes.
    struct alignas(64) Shelf {
        std::mutex mutex;
        std::array<std::vector<void*>, classes> free;
    };

    static std::size_t own_shelf() {
        static std::atomic<std::size_t> threads{0};
        thread_local const std::size_t own = threads.fetch_add(1, std::memory_order_relaxed) % shelves;
        return own;
    }

    // Null when there is no room.
    void* from_arena(std::size_t bytes) {
        const detail::Arena::Taken taken = arena_.take(bytes);
        kept_ -= taken.kept;
        if (taken.from_system) system_calls_.fetch_add(1, std::memory_order_relaxed);
        return taken.buffer;
    }

    // From the own shelf, or else from another. Null when all are empty.
    void* from_shelves(std::size_t index) {
        const std::size_t own = own_shelf();
        for (std::size_t k = 0; k < shelves; ++k) {
            Shelf& shelf = shelves_[(own + k) % shelves];
            const std::lock_guard lock(shelf.mutex);
            auto& list = shelf.free[index];
            if (list.empty()) continue;
            void* buffer = list.back();
            list.pop_back();
            kept_ -= class_size(index);
            return buffer;
        }
        return nullptr;
    }

    // False when the buffer does not fit under the cap, or there is no room for the list's entry.
    bool put_on_shelf(void* buffer, std::size_t index) noexcept {
        const std::size_t size = class_size(index);
        if (kept_.fetch_add(size) + size <= cap_) {
            try {
                Shelf& shelf = shelves_[own_shelf()];
                const std::lock_guard lock(shelf.mutex);
                shelf.free[index].push_back(buffer);
                return true;
            } catch (...) {  // reported by the result
            }
        }
        kept_ -= size;
        return false;
    }

    // Null when there is none.
    static void* from_system(std::size_t bytes) { return std::aligned_alloc(64, bytes); }

    // Size classes: eight to each power of two, from 64 bytes on.
    static std::size_t class_of(std::size_t bytes) {
        if (bytes <= 512) return bytes == 0 ? 0 : (bytes - 1) / 64;
        const auto exponent = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1;  // 2^exponent < bytes
        const std::size_t step = std::size_t{1} << (exponent - 3);
        const std::size_t eighth = (bytes - (std::size_t{1} << exponent) + step - 1) / step;  // 1..8
        return 8 + (exponent - 9) * 8 + eighth - 1;
    }

    static std::size_t class_size(std::size_t index) {
        if (index < 8) return (index + 1) * 64;
        const std::size_t exponent = 9 + (index - 8) / 8;
        const std::size_t eighth = (index - 8) % 8 + 1;
        return (std::size_t{1} << exponent) + eighth * (std::size_t{1} << (exponent - 3));
    }

    void fail_when_asked() {
        if (countdown_.load(std::memory_order_relaxed) > 0 && countdown_.fetch_sub(1) == 1) throw std::bad_alloc();
    }

    std::array<Shelf, shelves> shelves_;
    detail::Arena arena_;
    std::atomic<std::size_t> kept_{0};
    std::atomic<std::size_t> cap_{SIZE_MAX};
    std::atomic<std::uint64_t> system_calls_{0};
    std::atomic<std::int64_t> countdown_{0};
};

// An owned, uninitialised buffer of `count` numbers from the pool, for the length of a kernel call.
template <class T>
class Scratch {
public:
    explicit Scratch(Index count)
        : bytes_(static_cast<std::size_t>(count) * sizeof(T)), data_(static_cast<T*>(Pool::instance().take(bytes_))) {}
    ~Scratch() { Pool::instance().give(data_, bytes_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    T* data() const { return data_; }

private:
    std::size_t bytes_;
    T* data_;
};

// A shared, uninitialised buffer of `count` numbers from the pool. Throws std::bad_alloc.
template <class T>
std::shared_ptr<T[]> pooled(Index count) {
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    void* buffer = Pool::instance().take(bytes);
    // Should the control block not fit, shared_ptr's constructor calls the deleter itself.
    return std::shared_ptr<T[]>(static_cast<T*>(buffer), [bytes](T* data) { Pool::instance().give(data, bytes); });
}

}  // namespace genmod
