// How the benchmarks take time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace benchmarks {

// The seconds of some clock that never goes back.
inline double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Runs work() once to warm up and `repeats` times on the clock; prints best and median.
template <class Work>
void timed(const char* name, int repeats, Work&& work) {
    work();
    std::vector<double> times;
    for (int k = 0; k < repeats; ++k) {
        const double start = seconds();
        work();
        times.push_back(seconds() - start);
    }
    std::sort(times.begin(), times.end());
    std::printf("%s: best %.2f ms, median %.2f ms\n", name, 1000 * times.front(), 1000 * times[times.size() / 2]);
    std::fflush(stdout);
}

// The best seconds of some runs, for a second at the most: noise only slows.
template <class Run>
double best(Run&& run) {
    run();
    double result = 1e30;
    const double begin = seconds();
    for (int round = 0; round < 10 || seconds() - begin < 0.1; ++round) {
        const double start = seconds();
        run();
        result = std::min(result, seconds() - start);
        if (seconds() - begin > 1) break;
    }
    return result;
}

}  // namespace benchmarks
