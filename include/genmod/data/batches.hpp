// Which samples make the batch of a step: shuffled anew each epoch, and known from the step's number alone.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"

namespace genmod::data {

// Where sample `index` of 0..count-1 goes in the order of an epoch: a random permutation by a Feistel network keyed by
// (seed, epoch), with cycle walking (Black and Rogaway 2002), so that nothing is stored.
inline Index shuffled(Index index, Index count, std::uint64_t seed, std::uint64_t epoch) {
    check(index >= 0 && index < count, "shuffled: index ", index, " is not in 0..", count - 1);
    const int half = (static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count - 1))) + 1) / 2;
    const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
    auto value = static_cast<std::uint64_t>(index);
    do {
        std::uint64_t left = value >> half, right = value & mask;
        for (std::uint32_t round = 0; round < 8; ++round) {
            const Stream stream{seed, Purpose::shuffle, epoch, static_cast<std::uint32_t>(right), 0};
            const std::uint64_t mixed = left ^ (genmod::detail::block(stream, round)[0] & mask);
            left = right;
            right = mixed;
        }
        value = left << half | right;
    } while (value >= static_cast<std::uint64_t>(count));
    return static_cast<Index>(value);
}

// Batches of batch_size out of `count` samples. Each sample comes once an epoch; a batch at the end of one is filled up
// from the next. Resuming needs no state but the step.
class Batches {
public:
    // Throws Error(argument) unless both numbers are at least 1 (and count below 2^62).
    Batches(Index count, Index batch_size, std::uint64_t seed) : count_(count), batch_size_(batch_size), seed_(seed) {
        check(count >= 1 && count < (Index{1} << 62) && batch_size >= 1, "Batches: cannot take batches of ", batch_size,
              " out of ", count);
    }

    // The samples of step 0, 1, ...
    std::vector<Index> indices(Index step) const {
        check(step >= 0, "Batches: step ", step, " is negative");
        std::vector<Index> result;
        result.reserve(static_cast<std::size_t>(batch_size_));
        for (Index k = 0; k < batch_size_; ++k) {
            const Index position = step * batch_size_ + k;
            result.push_back(shuffled(position % count_, count_, seed_, static_cast<std::uint64_t>(position / count_)));
        }
        return result;
    }

    // How many whole passes over the samples are done before a step.
    Index epoch(Index step) const { return step * batch_size_ / count_; }

private:
    Index count_, batch_size_;
    std::uint64_t seed_;
};

}  // namespace genmod::data
