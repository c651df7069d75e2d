// The conversation of a benchmark program with compare.py, which lets both sides of a comparison run by turns: a line
// in, a line of JSON out. "run S" does the work for about S seconds and answers with the median seconds of one time and
// the memory; "peak" answers with the machine's peak. Only the standard library: peers/ speak it too.
#pragma once

#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>

#include "benchmarks/timing.hpp"

namespace benchmarks {

// Does the work once to warm up, says {"about"...}, and answers until the input ends.
inline void serve(const std::string& about, const std::function<void()>& work,
                  const std::function<double()>& peak_gflops = {}) {
    work();
    std::printf("{%s}\n", about.c_str());
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
        if (line.starts_with("run ")) {
            const auto times = times_of(work, std::stod(line.substr(4)));
            std::printf("{\"seconds\": %.9g, \"times\": %zu, \"rss_mib\": %.1f}\n", median(times), times.size(),
                        peak_rss_mib());
        } else if (line == "peak" && peak_gflops) {
            std::printf("{\"gflops\": %.3f}\n", peak_gflops());
        } else {
            throw std::invalid_argument("cannot answer to \"" + line + "\"");
        }
        std::fflush(stdout);
    }
}

// main() of a peer's program, called as `program ROW VARIANT`. prepare(family, sizes, variant) returns the work; it
// throws std::invalid_argument for what it does not have. Exit codes: 0 done, 1 failed, 2 wrong arguments.
template <class Prepare>
int serve_peer(int argc, char** argv, const std::string& version, Prepare&& prepare) {
    try {
        if (argc != 3) throw std::invalid_argument("expected a row and a variant");
        const std::string row = argv[1];
        const std::size_t underline = row.find('_');
        if (underline == std::string::npos) throw std::invalid_argument("no row: " + row);
        serve("\"version\": \"" + version + "\"",
              prepare(row.substr(0, underline), row.substr(underline + 1), std::string(argv[2])));
        return 0;
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}

}  // namespace benchmarks
