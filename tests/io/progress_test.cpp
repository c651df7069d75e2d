#include "genmod/io/progress.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

#include "tests/support/catch.hpp"

namespace progress_test {

using namespace genmod;

namespace {

// What steps 1..total write.
std::string written(bool terminal, Index total, int loops = 1) {
    std::FILE* out = std::tmpfile();
    REQUIRE(out != nullptr);
    io::Progress progress("test", out, terminal);
    for (int loop = 0; loop < loops; ++loop)
        for (Index step = 1; step <= total; ++step) progress(step, total);
    std::string text(static_cast<std::size_t>(std::ftell(out)), '\0');
    std::rewind(out);
    CHECK(std::fread(text.data(), 1, text.size(), out) == text.size());
    std::fclose(out);
    return text;
}

std::size_t lines(const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("the line tells step, share, rate and time left") {
    CHECK(io::detail::progress_text("a", 12, 50, 6) == "a: 12/50 (24 %), 2.0 steps/s, 0:19 left");
    CHECK(io::detail::progress_text("a", 50, 50, 100) == "a: 50/50 (100 %), 2.0 s/step, 1:40 in all");
    CHECK(io::detail::progress_text("a", 12, 50, 1, 10) == "a: 12/50 (24 %), 2.0 steps/s, 0:19 left");
    CHECK(io::detail::progress_text("a", 1, 3601, 1) == "a: 1/3601 (0 %), 1.0 steps/s, 1:00:00 left");
    CHECK(io::detail::progress_text("a", 0, 0, 0) == "a: 0/0 (100 %), 0.0 steps/s, 0:00 in all");
}

TEST_CASE("without a terminal there is a line each tenth of the way") {
    CHECK(lines(written(false, 1000)) == 10);
    CHECK(lines(written(false, 3)) == 3);
    CHECK(written(false, 1000).find('\r') == std::string::npos);
    CHECK(lines(written(false, 1000, 2)) == 20);
}

TEST_CASE("on a terminal one line is rewritten, without colours") {
    const std::string text = written(true, 1000);
    CHECK(lines(text) == 1);
    CHECK(text.back() == '\n');
    CHECK(text.find('\r') != std::string::npos);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(lines(written(true, 10, 2)) == 2);
}

}  // namespace progress_test
