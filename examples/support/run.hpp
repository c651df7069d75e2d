// What every example program does alike: options, errors as exit codes, Ctrl-C as a stop request.
#pragma once

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "genmod/core/build_info.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"

namespace examples {

inline std::stop_source& stop_source() {
    static std::stop_source source;
    return source;
}

// The first Ctrl-C asks the loops to stop, the second one ends the program at once.
inline void stop_on_interrupt() {
    stop_source();
    std::signal(SIGINT, [](int) {
        if (stop_source().stop_requested()) std::_Exit(130);
        stop_source().request_stop();
    });
}

// Parses the options of `app`, adds -t/--threads and --version, and calls body(). Exit codes: 0 done, 1 internal error,
// 2 wrong options, 3 bad or unsupported file, 4 out of memory, 5 input or output failed, 6 numbers that are not finite,
// 130 interrupted.
template <class Body>
int run(CLI::App& app, int argc, char** argv, Body&& body) {
    int threads = 0;
    app.add_option("-t,--threads", threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
    app.set_version_flag("--version", genmod::build_info());
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : static_cast<int>(genmod::ErrorCode::argument);
    }
    stop_on_interrupt();
    const genmod::Stop stop(stop_source().get_token());
    std::optional<genmod::Threads> scope;
    if (threads > 0) scope.emplace(threads);
    try {
        body();
        return 0;
    } catch (const genmod::Error& error) {
        std::cerr << app.get_name() << ": " << error.what() << "\n";
        return static_cast<int>(error.code());
    } catch (const std::bad_alloc&) {
        std::cerr << app.get_name() << ": out of memory\n";
        return static_cast<int>(genmod::ErrorCode::memory);
    } catch (const std::exception& error) {
        std::cerr << app.get_name() << ": " << error.what() << "\n";
        return static_cast<int>(genmod::ErrorCode::internal);
    }
}

}  // namespace examples
