// Settings of the calling thread, in scopes: how many threads, who runs the tiles, when to stop, what to record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"

namespace genmod {

class Training;

// The body of a parallel loop, as handed to an executor: call it once for each tile, from any thread.
class TileFunction {
public:
    TileFunction(void (*call)(void*, Index), void* object) : call_(call), object_(object) {}
    void operator()(Index tile) const { call_(object_, tile); }

private:
    void (*call_)(void*, Index);
    void* object_;
};

// Runs tiles 0..count-1, in any order and on any threads, and returns when all are done. Tiles never throw.
using Executor = std::function<void(Index count, TileFunction tile)>;

// What the innermost scopes of this thread say.
struct Context {
    int threads = 0;                     // 0: what OpenMP would take
    const Executor* executor = nullptr;  // null: OpenMP
    std::stop_token stop;
    bool recording = true;  // whether ops remember how their results were made
    Training* training = nullptr;
    bool inside_tile = false;  // loops inside a tile run serially
};

inline Context& context() {
    thread_local Context current;
    return current;
}

namespace detail {

// Replaces one field of the context until the end of the scope.
template <class Value>
class Scoped {
public:
    Scoped(Value Context::*field, Value value) : field_(field), before_(context().*field) {
        context().*field = std::move(value);
    }
    ~Scoped() { context().*field_ = std::move(before_); }
    Scoped(const Scoped&) = delete;
    Scoped& operator=(const Scoped&) = delete;

private:
    Value Context::*field_;
    Value before_;
};

}  // namespace detail

// Kernels called in this scope use at most `count` threads. Throws Error unless count >= 1. Results never depend on it.
class Threads : detail::Scoped<int> {
public:
    explicit Threads(int count) : Scoped(&Context::threads, checked(count)) {}

private:
    static int checked(int count) {
        check(count >= 1, "Threads: expected at least 1, found ", count);
        return count;
    }
};

// Kernels called in this scope run their tiles through `executor`, which must outlive it.
class UseExecutor : detail::Scoped<const Executor*> {
public:
    explicit UseExecutor(const Executor& executor) : Scoped(&Context::executor, &executor) {}
};

// Loops of sampling and training end with Error(stopped), or with a checkpoint, once `token` asks them to.
class Stop : detail::Scoped<std::stop_token> {
public:
    explicit Stop(std::stop_token token) : Scoped(&Context::stop, std::move(token)) {}
};

inline bool stop_requested() { return context().stop.stop_requested(); }

// Ops in this scope do not remember how their results were made: no gradients, less memory.
class NoGrad : detail::Scoped<bool> {
public:
    NoGrad() : Scoped(&Context::recording, false) {}
};

// Ops in this scope record, even inside NoGrad.
class WithGrad : detail::Scoped<bool> {
public:
    WithGrad() : Scoped(&Context::recording, true) {}
};

// One training step: without this scope every layer is in evaluation mode. It carries the random stream of dropout,
// keyed by (seed, step, place in the network), and collects the statistics of normalisation layers, which take effect
// at commit(). Recomputing a part of the network (gradient checkpointing) draws the same masks and counts nothing
// twice.
class Training : detail::Scoped<Training*> {
public:
    Training(std::uint64_t seed, std::uint64_t step) : Scoped(&Context::training, this), seed_(seed), step_(step) {}

    std::uint64_t seed() const { return seed_; }
    std::uint64_t step() const { return step_; }

    // The number of the next random or statistical layer of the forward pass.
    std::uint32_t next_place() { return place_++; }
    std::uint32_t place() const { return place_; }
    void set_place(std::uint32_t place) { place_ = place; }

    // Keeps `apply` for commit(), the first for each place.
    void collect(std::uint32_t place, std::function<void()> apply) {
        if (place >= statistics_.size()) statistics_.resize(std::size_t{place} + 1);
        if (!statistics_[place]) statistics_[place] = std::move(apply);
    }

    // Applies what the layers collected, in the order of the forward pass.
    void commit() {
        for (const auto& apply : statistics_)
            if (apply) apply();
        statistics_.clear();
    }

private:
    std::uint64_t seed_;
    std::uint64_t step_;
    std::uint32_t place_ = 0;
    std::vector<std::function<void()>> statistics_;  // by place; of most layers there are none
};

// The innermost Training scope, or null.
inline Training* training() { return context().training; }

}  // namespace genmod
