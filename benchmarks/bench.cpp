// All rows of the benchmarks. Each reports GFLOP/s, its share of the machine's peak (measured around it, in the same
// process), the most memory, and how much the peak changed meanwhile.
//
//   bench [Google Benchmark's options]     e.g. --benchmark_filter='^(product|conv)_'
//   bench --list                           the names
//   bench --serve ROW                      for compare.py: see serve.hpp
//
// Run as: OMP_PROC_BIND=true OMP_PLACES=cores OMP_NUM_THREADS=2 bench
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/families.hpp"
#include "benchmarks/peak.hpp"
#include "benchmarks/serve.hpp"
#include "benchmarks/timing.hpp"
#include "genmod/core/build_info.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"

using namespace benchmarks;

namespace {

std::vector<Family> families() {
    std::vector<Family> all;
    for (const auto list : {product_families, convolution_families, attention_families, unet_families, sampler_families,
                            vae_families, flow_families, gan_families, sd_families})
        for (Family& family : list()) all.push_back(std::move(family));
    return all;
}

// The work of the row that is measured now. Google Benchmark asks several times for one row.
Work& prepared(const Family& family, const std::string& sizes) {
    static std::string now;
    static Work work;
    const std::string row = family.name + "_" + sizes;
    if (row != now) {
        work = {};
        genmod::Pool::instance().trim();
        reset_peak_rss();
        work = family.prepare(sizes);
        work.run();
        now = row;
    }
    return work;
}

void measure(benchmark::State& state, const Family& family, const std::string& sizes) {
    const Work& work = prepared(family, sizes);
    const double before = peak_gflops();
    const double start = seconds();
    for (auto _ : state) work.run();
    const double rate = work.gflop * static_cast<double>(state.iterations()) / (seconds() - start);
    const double after = peak_gflops(), peak = std::max(before, after);
    if (work.gflop > 0) {
        state.counters["GFLOP/s"] = rate;
        state.counters["share_of_peak"] = rate / peak;
    }
    if (work.parameters > 0) state.counters["parameters"] = static_cast<double>(work.parameters);
    if (work.outside) state.counters["outside"] = work.outside();
    state.counters["peak_GFLOP/s"] = peak;
    state.counters["peak_change"] = after / before - 1;
    state.counters["rss_MiB"] = peak_rss_mib();
}

void serve_row(const std::string& row) {
    const std::vector<Family> all = families();
    const Family* family = nullptr;  // the one of the longest name: packed_conv_... is not of "packed"
    for (const Family& each : all)
        if (row.starts_with(each.name + "_") && (family == nullptr || each.name.size() > family->name.size()))
            family = &each;
    if (family == nullptr) throw std::invalid_argument("there is no row " + row);
    const Work work = family->prepare(row.substr(family->name.size() + 1));
    char about[200];
    std::snprintf(about, sizeof about, "\"gflop\": %.9g, \"parameters\": %lld, \"threads\": %d", work.gflop,
                  static_cast<long long>(work.parameters), genmod::thread_count());
    serve(about, work.run, peak_gflops);
}

int run(int argc, char** argv) {
    const std::string_view first = argc > 1 ? argv[1] : "";
    if (first == "--serve" && argc == 3) {
        serve_row(argv[2]);
        return 0;
    }
    const std::vector<Family> all = families();
    if (first == "--list" && argc == 2) {
        for (const Family& family : all)
            for (const std::string& sizes : family.sizes) std::printf("%s_%s\n", family.name.c_str(), sizes.c_str());
        return 0;
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    for (const Family& family : all)
        for (const std::string& sizes : family.sizes)
            benchmark::RegisterBenchmark((family.name + "_" + sizes).c_str(),
                                         [&family, &sizes](benchmark::State& state) { measure(state, family, sizes); })
                ->UseRealTime()
                ->Unit(benchmark::kMillisecond);
    benchmark::AddCustomContext("build", genmod::build_info());
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}

}  // namespace

// Exit codes: 0 done, 1 failed, 2 wrong options.
int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "bench: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench: %s\n", error.what());
        return dynamic_cast<const genmod::Error*>(&error) != nullptr ? 2 : 1;
    }
}
