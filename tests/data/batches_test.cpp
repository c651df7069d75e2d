#include "genmod/data/batches.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/io/scratch.hpp"

namespace batches_test {

using namespace genmod;
using scratch::error_of;

TEST_CASE("shuffling is a permutation for every count") {
    for (Index count = 1; count <= 300; ++count) {
        std::vector<bool> seen(static_cast<std::size_t>(count));
        for (Index i = 0; i < count; ++i) seen[static_cast<std::size_t>(data::shuffled(i, count, 3, 1))] = true;
        CHECK(std::count(seen.begin(), seen.end(), true) == count);
    }
}

TEST_CASE("each sample comes once an epoch, whatever the size of the batch") {
    for (const Index batch_size : {1, 3, 7, 50, 64}) {
        const data::Batches batches(50, batch_size, 9);
        std::vector<Index> stream;
        for (Index step = 0; static_cast<Index>(stream.size()) < 200; ++step)
            for (const Index index : batches.indices(step)) stream.push_back(index);
        for (std::size_t epoch = 0; epoch < 4; ++epoch) {
            const auto first = stream.begin() + static_cast<std::ptrdiff_t>(50 * epoch);
            std::vector<Index> samples(first, first + 50);
            std::sort(samples.begin(), samples.end());
            for (Index i = 0; i < 50; ++i) CHECK(samples[static_cast<std::size_t>(i)] == i);
        }
    }
}

TEST_CASE("a step's batch needs nothing but its number, and epochs and seeds differ") {
    const data::Batches batches(1000, 100, 4);
    const auto later = batches.indices(25);
    CHECK(data::Batches(1000, 100, 4).indices(25) == later);
    CHECK(batches.indices(5) != batches.indices(15));
    CHECK(data::Batches(1000, 100, 5).indices(25) != later);
    CHECK(batches.epoch(9) == 0);
    CHECK(batches.epoch(10) == 1);
}

TEST_CASE("every place is reached from everywhere about equally often") {
    // A table of 12 x 12 over 6000 epochs: 500 expected in each cell, deviation 21.4.
    std::vector<int> table(144);
    for (std::uint64_t epoch = 0; epoch < 6000; ++epoch)
        for (Index i = 0; i < 12; ++i) ++table[static_cast<std::size_t>(i * 12 + data::shuffled(i, 12, 1, epoch))];
    double chi = 0;
    for (const int cell : table) chi += (cell - 500.0) * (cell - 500.0) / 500.0;
    CHECK(chi < 121 + 5 * std::sqrt(2 * 121.0));  // 11 x 11 degrees of freedom
}

TEST_CASE("neighbours are torn apart") {
    Index together = 0;
    for (Index i = 0; i + 1 < 10000; ++i)
        together += std::abs(data::shuffled(i, 10000, 1, 0) - data::shuffled(i + 1, 10000, 1, 0)) <= 1 ? 1 : 0;
    CHECK(together < 10);  // 2 expected
}

TEST_CASE("counts and sizes out of range are refused") {
    CHECK(error_of([] { data::Batches(0, 1, 0); }).code == ErrorCode::argument);
    CHECK(error_of([] { data::Batches(1, 0, 0); }).code == ErrorCode::argument);
    CHECK(error_of([] { data::Batches(-1, 1, 0); }).code == ErrorCode::argument);
    CHECK(error_of([] { data::Batches(5, 1, 0).indices(-1); }).code == ErrorCode::argument);
    CHECK(error_of([] { data::shuffled(5, 5, 0, 0); }).code == ErrorCode::argument);
    CHECK(data::Batches(1, 4, 0).indices(3) == std::vector<Index>(4, 0));
}

}  // namespace batches_test
