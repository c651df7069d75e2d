#include "genmod/core/memory.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <new>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace memory_test {

using namespace genmod;

namespace {

// AddressSanitizer's builds bypass the pool, so that it sees every buffer.
bool pooling() {
    Pool& pool = Pool::instance();
    pool.trim();
    pool.give(pool.take(100), 100);
    return pool.kept() > 0;
}

}  // namespace

TEST_CASE("buffers of every size are aligned, separate and writable") {
    Pool& pool = Pool::instance();
    std::vector<std::pair<unsigned char*, std::size_t>> buffers;
    for (std::size_t bytes = 0; bytes < 200'000; bytes += 1 + bytes / 7) {
        auto* buffer = static_cast<unsigned char*>(pool.take(bytes));
        REQUIRE(reinterpret_cast<std::uintptr_t>(buffer) % 64 == 0);
        std::memset(buffer, static_cast<int>(buffers.size() % 251), bytes);
        buffers.emplace_back(buffer, bytes);
    }
    for (std::size_t k = 0; k < buffers.size(); ++k) {
        const auto [buffer, bytes] = buffers[k];
        for (std::size_t i = 0; i < bytes; i += 1 + bytes / 50)
            if (buffer[i] != k % 251) FAIL("buffer " << k << " was overwritten");
        pool.give(buffer, bytes);
    }
}

TEST_CASE("a freed buffer serves the next request of about its size") {
    if (!pooling()) return;
    Pool& pool = Pool::instance();
    for (const std::size_t bytes : {1u, 64u, 65u, 512u, 513u, 1000u, 4096u, 100'000u, 3'000'000u}) {
        void* first = pool.take(bytes);
        pool.give(first, bytes);
        const auto calls = pool.system_calls();
        void* second = pool.take(bytes);
        CHECK(second == first);
        CHECK(pool.system_calls() == calls);
        pool.give(second, bytes);
    }
    void* larger = pool.take(1020);
    pool.give(larger, 1020);
    void* smaller = pool.take(970);
    CHECK(smaller == larger);
    pool.give(smaller, 970);
    for (std::size_t bytes = 513; bytes < 5'000'000; bytes += bytes / 3) {
        pool.trim();
        pool.give(pool.take(bytes), bytes);
        CHECK(pool.kept() >= bytes);
        CHECK(pool.kept() <= bytes + bytes / 8 + 64);
    }
}

TEST_CASE("the pool keeps no more than its cap, and trims") {
    if (!pooling()) return;
    Pool& pool = Pool::instance();
    pool.trim();
    REQUIRE(pool.kept() == 0);
    { const Tensor<float> a({1000}), b({1000}); }
    REQUIRE(pool.kept() >= 8000);
    pool.set_cap(5000);
    REQUIRE(pool.kept() <= 5000);
    { const Tensor<float> a({1000}), b({1000}); }
    REQUIRE(pool.kept() <= 5000);
    pool.set_cap(SIZE_MAX);
    pool.trim();
    REQUIRE(pool.kept() == 0);
}

TEST_CASE("a thread gets back its own buffers first, then those of others") {
    if (!pooling()) return;
    Pool& pool = Pool::instance();
    pool.trim();
    void *const own = pool.take(1000), *const other = pool.take(1000);
    pool.give(own, 1000);
    std::thread([&] { pool.give(other, 1000); }).join();
    const std::size_t kept = pool.kept();
    CHECK(kept >= 2000);
    const auto calls = pool.system_calls();
    CHECK(pool.take(1000) == own);
    CHECK(pool.take(1000) == other);
    CHECK(pool.system_calls() == calls);
    CHECK(pool.kept() == 0);
    pool.give(own, 1000);
    pool.give(other, 1000);
    CHECK(pool.kept() == kept);
}

TEST_CASE("threads that take and give at the same time never share a buffer") {
    std::vector<std::thread> threads;
    std::atomic<int> shared{0};
    for (int thread = 0; thread < 20; ++thread)  // more than the pool tells apart
        threads.emplace_back([thread, &shared] {
            for (int round = 0; round < 300; ++round) {
                const Scratch<int> a(100 + round % 7), b(100);
                for (int k = 0; k < 100; ++k) a.data()[k] = b.data()[k] = thread;
                std::this_thread::yield();
                for (int k = 0; k < 100; ++k)
                    if (a.data()[k] != thread || b.data()[k] != thread) ++shared;
            }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(shared == 0);
}

TEST_CASE("what large buffers leave is used again, whatever the sizes") {
    if (!pooling()) return;
    Pool& pool = Pool::instance();
    constexpr std::size_t mib = std::size_t{1} << 20;
    std::vector<void*> levels;
    for (int k = 0; k < 8; ++k) levels.push_back(pool.take(8 * mib));
    for (void* level : levels) pool.give(level, 8 * mib);
    const auto calls = pool.system_calls();
    void *const large = pool.take(40 * mib), *const small = pool.take(20 * mib);
    CHECK(pool.system_calls() == calls);
    std::memset(large, 1, 40 * mib);
    std::memset(small, 2, 20 * mib);
    const auto* const bytes = static_cast<const unsigned char*>(large);
    CHECK(std::count(bytes, bytes + 40 * mib, 1) == 40 * static_cast<std::ptrdiff_t>(mib));
    pool.give(large, 40 * mib);
    pool.give(small, 20 * mib);
    pool.trim();
    CHECK(pool.kept() == 0);
    auto* const again = static_cast<unsigned char*>(pool.take(60 * mib));
    CHECK(pool.system_calls() == calls);
    CHECK(again[30 * mib] == 0);  // the system had it meanwhile
    pool.set_cap(50 * mib);
    pool.give(again, 60 * mib);
    CHECK(pool.kept() == 0);
    pool.set_cap(SIZE_MAX);
}

TEST_CASE("large buffers of random sizes never overlap, whoever takes and gives them") {
    std::atomic<int> overwritten{0};
    const auto work = [&overwritten](unsigned seed) {
        struct Own {
            unsigned char* data;
            std::size_t bytes;
        };
        std::minstd_rand random(seed);
        std::vector<Own> own;
        const auto mark = static_cast<unsigned char>(seed);
        const auto check_and_give = [&](const Own& buffer) {
            for (std::size_t at = 0; at < buffer.bytes; at += 4096) overwritten += buffer.data[at] != mark;
            Pool::instance().give(buffer.data, buffer.bytes);
        };
        for (int round = 0; round < 100; ++round) {
            const std::size_t bytes = (std::size_t{200} << 10) + random() % (std::size_t{12} << 20);
            own.push_back({static_cast<unsigned char*>(Pool::instance().take(bytes)), bytes});
            for (std::size_t at = 0; at < bytes; at += 4096) own.back().data[at] = mark;
            if (own.size() < 6) continue;
            std::swap(own[random() % own.size()], own.back());
            check_and_give(own.back());
            own.pop_back();
        }
        for (const Own& buffer : own) check_and_give(buffer);
    };
    std::vector<std::thread> threads;
    for (unsigned seed = 1; seed <= 3; ++seed) threads.emplace_back(work, seed);
    for (std::thread& thread : threads) thread.join();
    CHECK(overwritten == 0);
    Pool::instance().trim();
    CHECK(Pool::instance().kept() == 0);
}

TEST_CASE("buffers may be freed by another thread") {
    for (int round = 0; round < 20; ++round) {
        std::vector<Tensor<float>> tensors;
        for (Index k = 1; k < 50; ++k) tensors.emplace_back(Shape{k * 100});
        std::thread other([list = std::move(tensors)]() mutable { list.clear(); });
        for (Index k = 1; k < 50; ++k) Tensor<float>({k * 100}).fill(1);
        other.join();
    }
}

TEST_CASE("the k-th allocation fails when asked to, and nothing is lost") {
    Pool& pool = Pool::instance();
    pool.fail_at(3);
    const Tensor<float> first({10}), second({10});
    REQUIRE_THROWS_AS(Tensor<float>({10}), std::bad_alloc);
    REQUIRE_NOTHROW(Tensor<float>({10}));
    pool.fail_at(1);
    REQUIRE_THROWS_AS(Scratch<double>(5), std::bad_alloc);
    pool.fail_at(1);
    pool.fail_at(0);
    REQUIRE_NOTHROW(Scratch<double>(5));
}

TEST_CASE("what no machine has is bad_alloc, not a crash") {
    if (!pooling()) return;  // AddressSanitizer itself stops the program
    REQUIRE_THROWS_AS(Tensor<float>({Index{1} << 50}), std::bad_alloc);
}

}  // namespace memory_test
