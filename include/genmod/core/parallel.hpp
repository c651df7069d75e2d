// The parallel loop: the only place of the library that knows OpenMP.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>
#include <type_traits>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "genmod/core/context.hpp"
#include "genmod/core/types.hpp"

namespace genmod {

// How many threads a parallel loop of this thread may use now.
inline int thread_count() {
    if (context().inside_tile) return 1;
    if (context().threads > 0) return context().threads;
#ifdef _OPENMP
    return omp_in_parallel() != 0 ? 1 : omp_get_max_threads();
#else
    return 1;
#endif
}

namespace detail {

// Runs tiles, keeps the first exception, and lets the remaining tiles pass after one.
template <class Body>
class TileRunner {
public:
    explicit TileRunner(Body& body) : body_(body) {}

    void operator()(Index tile) noexcept {
        if (failed_.load(std::memory_order_relaxed)) return;
        bool& inside = context().inside_tile;
        const bool before = inside;
        inside = true;
        try {
            body_(tile);
        } catch (...) {
            const std::lock_guard lock(mutex_);
            if (!error_) error_ = std::current_exception();
            failed_ = true;
        }
        inside = before;
    }

    void rethrow() {
        if (error_) std::rethrow_exception(error_);
    }

private:
    Body& body_;
    std::atomic<bool> failed_{false};
    std::mutex mutex_;
    std::exception_ptr error_;
};

// Tiles 0..count-1 in shares of neighbours. A thread takes the tiles of its own share first, so that in loop after loop
// it meets the numbers that its cache holds, and then what the others have left.
class TileShares {
public:
    TileShares(Index count, int threads) : count_(count), shares_(threads < most ? threads : most) {
        for (int share = 0; share < shares_; ++share) next_[share].tile = first(share);
    }

    template <class Run>
    void work(int thread, Run& run) {
        for (int turn = 0; turn < shares_; ++turn) {
            const int share = (thread + turn) % shares_;
            const Index last = first(share + 1);
            for (Index tile = take(share); tile < last; tile = take(share)) run(tile);
        }
    }

private:
    static constexpr int most = 64;
    struct alignas(64) Next {
        std::atomic<Index> tile;
    };

    Index first(int share) const { return count_ * share / shares_; }
    Index take(int share) { return next_[share].tile.fetch_add(1, std::memory_order_relaxed); }

    Index count_;
    int shares_;
    Next next_[most];
};

}  // namespace detail

// Calls body(tile) for tile 0..count-1, on several threads where the context allows. Tiles must be independent, and
// cut by shapes only where the cut decides bits, so that results do not depend on threads. A loop inside a tile runs
// serially. Rethrows the first exception of a tile.
template <class Body>
void parallel_for(Index count, Body&& body) {
    const bool custom = context().executor != nullptr && !context().inside_tile;
    if (count <= 1 || (!custom && thread_count() == 1)) {
        for (Index tile = 0; tile < count; ++tile) body(tile);
        return;
    }
    detail::TileRunner<std::remove_reference_t<Body>> run(body);
    if (custom) {
        (*context().executor)(
            count, TileFunction([](void* object, Index tile) { (*static_cast<decltype(run)*>(object))(tile); }, &run));
    } else {
#ifdef _OPENMP
        const int threads = static_cast<int>(count < thread_count() ? count : thread_count());
        detail::TileShares shares(count, threads);
#pragma omp parallel num_threads(threads)
        shares.work(omp_get_thread_num(), run);
#else
        for (Index tile = 0; tile < count; ++tile) run(tile);
#endif
    }
    run.rethrow();
}

// Cuts 0..size-1 into ranges of `grain` and calls body(first, last) for each, last excluded. Choose the grain so that
// one range is worth waking a thread for (some 20 microseconds).
template <class Body>
void parallel_ranges(Index size, Index grain, Body&& body) {
    parallel_for((size + grain - 1) / grain, [&](Index tile) {
        const Index first = tile * grain;
        body(first, first + grain < size ? first + grain : size);
    });
}

}  // namespace genmod
