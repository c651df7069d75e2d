#include "genmod/core/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "tests/support/catch.hpp"

namespace parallel_test {

using namespace genmod;

namespace {

// How often each tile ran.
std::vector<int> runs(Index count) {
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
    parallel_for(count, [&](Index tile) { ++seen[static_cast<std::size_t>(tile)]; });
    return {seen.begin(), seen.end()};
}

// Runs tiles in random order on three threads.
void shuffled(Index count, TileFunction tile) {
    std::vector<Index> order(static_cast<std::size_t>(count));
    for (Index k = 0; k < count; ++k) order[static_cast<std::size_t>(k)] = k;
    std::shuffle(order.begin(), order.end(), std::mt19937(5));
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    for (int k = 0; k < 3; ++k)
        threads.emplace_back([&] {
            for (std::size_t i; (i = next++) < order.size();) tile(order[i]);
        });
    for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("every tile runs once, for any number of threads and tiles") {
    for (const int count : {1, 2, 3, 4, 7, 16, 70}) {
        const Threads threads(count);
        REQUIRE(thread_count() == count);
        for (const Index tiles : {0, 1, 2, 5, 100})
            REQUIRE(runs(tiles) == std::vector<int>(static_cast<std::size_t>(tiles), 1));
    }
}

TEST_CASE("more than one thread takes part") {
    const Threads threads(2);
    std::mutex mutex;
    std::set<std::thread::id> seen;
    parallel_for(2, [&](Index) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
        {
            const std::lock_guard lock(mutex);
            seen.insert(std::this_thread::get_id());
        }
        while (std::chrono::steady_clock::now() < until) {  // wait for the other one
            const std::lock_guard lock(mutex);
            if (seen.size() == 2) return;
        }
    });
#ifdef _OPENMP
    REQUIRE(seen.size() == 2);
#endif
}

TEST_CASE("ranges cover everything once, whatever the grain") {
    for (const Index size : {0, 1, 9, 10, 11, 100})
        for (const Index grain : {1, 3, 10, 1000}) {
            std::vector<int> seen(static_cast<std::size_t>(size));
            parallel_ranges(size, grain, [&](Index first, Index last) {
                REQUIRE(last - first <= grain);
                REQUIRE(first < last);
                for (Index k = first; k < last; ++k) ++seen[static_cast<std::size_t>(k)];
            });
            REQUIRE(seen == std::vector<int>(static_cast<std::size_t>(size), 1));
        }
}

TEST_CASE("the first exception of a tile reaches the caller, and later loops work") {
    for (const int count : {1, 2, 4}) {
        const Threads threads(count);
        std::atomic<int> after{0};
        try {
            parallel_for(1000, [&](Index tile) {
                if (tile == 3) fail(ErrorCode::argument, "tile three");
                ++after;
            });
            FAIL("no exception");
        } catch (const Error& error) {
            REQUIRE(std::string(error.what()) == "tile three");
        }
        REQUIRE(after < 1000);
        REQUIRE_THROWS_AS(parallel_for(4, [](Index) { throw std::runtime_error("all"); }), std::runtime_error);
        REQUIRE(runs(8) == std::vector<int>(8, 1));
        REQUIRE_FALSE(context().inside_tile);
    }
}

TEST_CASE("a loop inside a tile runs serially on the tile's own thread") {
    const Threads threads(3);
    std::atomic<int> strangers{0}, inner{0};
    parallel_for(6, [&](Index) {
        const auto self = std::this_thread::get_id();
        REQUIRE(thread_count() == 1);
        parallel_for(5, [&](Index) {
            ++inner;
            if (std::this_thread::get_id() != self) ++strangers;
        });
    });
    REQUIRE(inner == 30);
    REQUIRE(strangers == 0);
    REQUIRE(thread_count() == 3);
}

TEST_CASE("an executor runs the tiles, whoever it is") {
    const Executor executor = shuffled;
    const UseExecutor use(executor);
    REQUIRE(runs(50) == std::vector<int>(50, 1));
    REQUIRE_THROWS_AS(parallel_for(20, [](Index tile) { check(tile != 7, "seven"); }), Error);
    std::atomic<int> inner{0};
    parallel_for(4, [&](Index) { parallel_for(3, [&](Index) { ++inner; }); });
    REQUIRE(inner == 12);
    const Executor backwards = [](Index count, TileFunction tile) {
        for (Index k = count; k-- > 0;) tile(k);
    };
    const UseExecutor inside(backwards);
    std::vector<Index> order;
    parallel_for(3, [&](Index tile) { order.push_back(tile); });
    REQUIRE(order == std::vector<Index>{2, 1, 0});
}

TEST_CASE("settings end with their scope and belong to one thread") {
    const int before = thread_count();
    {
        const Threads outer(5);
        {
            const Threads inner(2);
            REQUIRE(thread_count() == 2);
            std::thread([&] { REQUIRE(thread_count() == before); }).join();
        }
        REQUIRE(thread_count() == 5);
    }
    REQUIRE(thread_count() == before);
    REQUIRE_THROWS_AS(Threads(0), Error);

    REQUIRE(context().recording);
    {
        const NoGrad off;
        REQUIRE_FALSE(context().recording);
        const WithGrad on;
        REQUIRE(context().recording);
    }
    REQUIRE(context().recording);

    REQUIRE_FALSE(stop_requested());
    std::stop_source source;
    const Stop stop(source.get_token());
    REQUIRE_FALSE(stop_requested());
    source.request_stop();
    REQUIRE(stop_requested());
}

TEST_CASE("a training scope numbers places and applies statistics once, in order, at commit") {
    REQUIRE(training() == nullptr);
    Training step(3, 4);
    REQUIRE(training() == &step);
    REQUIRE(step.seed() == 3);
    REQUIRE(step.step() == 4);
    const auto a = step.next_place(), b = step.next_place();
    REQUIRE(a + 1 == b);
    std::string applied;
    step.collect(b, [&] { applied += "b"; });
    step.collect(a, [&] { applied += "a"; });
    step.collect(b, [&] { applied += "again"; });
    REQUIRE(applied.empty());
    step.commit();
    REQUIRE(applied == "ab");
    step.commit();
    REQUIRE(applied == "ab");
}

}  // namespace parallel_test
