// Large buffers, carved out of one range of addresses, so that those of one size leave room for others: networks whose
// pictures grow from level to level would keep each level's buffers otherwise. On Linux; elsewhere it has no room.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace genmod::detail {

// A request takes the smallest free block that has room for it, the first of those, or else more of the range; freed
// blocks join their neighbours. Thread-safe. Never gives back addresses. (With the first block that has room, of any
// size, small buffers cut the large blocks up, and a U-Net takes a tenth more memory.)
class Arena {
public:
    Arena() {
#if defined(__linux__)
        // Addresses only; twice the machine's memory leaves room for gaps. There are none to be had under a limit.
        const std::size_t bytes =
            2 * static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        void* const range = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (range == MAP_FAILED) return;
        begin_ = top_ = round_up(reinterpret_cast<std::uintptr_t>(range), page);
        end_ = reinterpret_cast<std::uintptr_t>(range) + bytes;
#endif
    }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    // What a buffer takes up.
    static std::size_t size_of(std::size_t bytes) { return round_up(bytes, std::size_t{16} << 10); }

    bool owns(const void* buffer) const {
        const auto address = reinterpret_cast<std::uintptr_t>(buffer);
        return begin_ <= address && address < end_;
    }

    struct Taken {
        void* buffer = nullptr;    // null: there is no room
        std::size_t kept = 0;      // bytes of it that had been kept
        bool from_system = false;  // whether the system was asked for more
    };

    // At least `bytes` bytes, from a multiple of 16 KiB on.
    Taken take(std::size_t bytes) {
        if (bytes > end_ - begin_) return {};
        const std::size_t size = size_of(bytes);
        const std::lock_guard lock(mutex_);
        if (const auto block = smallest(size); block != free_.end()) return cut(block, size, false);
        const auto last = extend(size);
        return last == free_.end() ? Taken{} : cut(last, size, true);
    }

    // Takes back what take(bytes) returned, and keeps its memory or gives it to the system. Returns the bytes kept.
    std::size_t give(void* buffer, std::size_t bytes, bool keep) noexcept {
        const std::size_t size = size_of(bytes), kept = keep ? size : 0;
        if (!keep) release(reinterpret_cast<std::uintptr_t>(buffer), size);
        const std::lock_guard lock(mutex_);
        try {
            join(free_.emplace(reinterpret_cast<std::uintptr_t>(buffer), Block{size, kept}).first);
            return kept;
        } catch (...) {  // there is no memory for the entry: these addresses are lost
            release(reinterpret_cast<std::uintptr_t>(buffer), size);
            return 0;
        }
    }

    // Gives all memory to the system that is kept. Returns the bytes.
    std::size_t trim() noexcept {
        const std::lock_guard lock(mutex_);
        std::size_t sum = 0;
        for (auto& [address, block] : free_) {
            release(address, block.size);
            sum += block.kept;
            block.kept = 0;
        }
        return sum;
    }

private:
    static constexpr std::size_t page = std::size_t{2} << 20;  // a large one, which costs fewer faults and misses

    struct Block {
        std::size_t size = 0, kept = 0;  // kept: how much of it has memory, at most
    };
    using Blocks = std::map<std::uintptr_t, Block>;

    static std::size_t round_up(std::size_t number, std::size_t unit) { return (number + unit - 1) / unit * unit; }

    static void release([[maybe_unused]] std::uintptr_t address, [[maybe_unused]] std::size_t size) noexcept {
#if defined(__linux__)
        madvise(reinterpret_cast<void*>(address), size, MADV_DONTNEED);
#endif
    }

    // The smallest free block of at least `size` bytes; the end of the list when there is none.
    Blocks::iterator smallest(std::size_t size) {
        auto found = free_.end();
        for (auto block = free_.begin(); block != free_.end(); ++block)
            if (block->second.size >= size && (found == free_.end() || block->second.size < found->second.size))
                found = block;
        return found;
    }

    // The first `size` bytes of a block.
    Taken cut(Blocks::iterator block, std::size_t size, bool from_system) {
        const std::size_t kept = std::min(block->second.kept, size);
        void* const buffer = reinterpret_cast<void*>(block->first);
        auto rest = free_.extract(block);
        rest.key() += size;
        rest.mapped() = {rest.mapped().size - size, rest.mapped().kept - kept};
        if (rest.mapped().size > 0) free_.insert(std::move(rest));
        return {buffer, kept, from_system};
    }

    // Makes a block one with those that it touches.
    Blocks::iterator join(Blocks::iterator block) {
        const auto touches = [](Blocks::iterator left, Blocks::iterator right) {
            return left->first + left->second.size == right->first;
        };
        const auto append = [&](Blocks::iterator left, Blocks::iterator right) {
            left->second.size += right->second.size;
            left->second.kept += right->second.kept;
            free_.erase(right);
        };
        if (const auto next = std::next(block); next != free_.end() && touches(block, next)) append(block, next);
        if (block == free_.begin()) return block;
        const auto before = std::prev(block);
        if (!touches(before, block)) return block;
        append(before, block);
        return before;
    }

    // A block of at least `size` bytes at the end of what is in use; the end of the list when there is no room.
    Blocks::iterator extend([[maybe_unused]] std::size_t size) {
#if defined(__linux__)
        std::size_t there = 0;
        if (!free_.empty()) {
            const auto& [address, last] = *free_.rbegin();
            if (address + last.size == top_) there = last.size;
        }
        const std::size_t more = round_up(size - there, page);
        if (more > end_ - top_) return free_.end();
        void* const from = reinterpret_cast<void*>(top_);
        if (mprotect(from, more, PROT_READ | PROT_WRITE) != 0) return free_.end();
        madvise(from, more, MADV_HUGEPAGE);
        const auto added = free_.emplace(top_, Block{more, 0}).first;
        top_ += more;
        return join(added);
#else
        return free_.end();
#endif
    }

    std::uintptr_t begin_ = 0, top_ = 0, end_ = 0;  // top: the end of what has ever been in use
    Blocks free_;
    std::mutex mutex_;
};

}  // namespace genmod::detail
