// How the benchmarks take time and memory. Only the standard library.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace benchmarks {

// The seconds of some clock that never goes back.
inline double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The seconds of each call of work(), once at least and then for about `budget` seconds.
template <class Work>
std::vector<double> times_of(Work&& work, double budget) {
    std::vector<double> times;
    const double begin = seconds();
    do {
        const double start = seconds();
        work();
        times.push_back(seconds() - start);
    } while (seconds() - begin < budget);
    return times;
}

inline double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

// Runs work() once to warm up and `repeats` times on the clock; prints best and median.
template <class Work>
void timed(const char* name, int repeats, Work&& work) {
    work();
    std::vector<double> times;
    for (int k = 0; k < repeats; ++k) times.push_back(times_of(work, 0)[0]);
    std::printf("%s: best %.2f ms, median %.2f ms\n", name, 1000 * *std::min_element(times.begin(), times.end()),
                1000 * median(times));
    std::fflush(stdout);
}

// The most memory that this process has had so far, in MiB; 0 where the system does not tell.
inline double peak_rss_mib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
    return 0;
}

// Makes the memory of now the most so far, where the system allows it.
inline void reset_peak_rss() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace benchmarks
