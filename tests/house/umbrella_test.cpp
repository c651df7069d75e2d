// genmod/genmod.hpp lists every public header once, between the two that put macros aside and give them back.
#include <set>

#include "tests/house/source_tree.hpp"
#include "tests/support/catch.hpp"

using namespace house;

namespace {

std::vector<std::string> listed() {
    std::vector<std::string> headers;
    for (const auto& file : files_below("include/genmod")) {
        if (file.name != "genmod.hpp") continue;
        for (const auto& line : file.lines)
            if (const Include include = include_of(line); !include.name.empty()) headers.push_back(include.name);
    }
    return headers;
}

}  // namespace

TEST_CASE("the umbrella names every header that belongs to it, and no other") {
    std::set<std::string> expected;
    for (const auto& file : files_below("include/genmod"))
        if (file.name != "genmod.hpp" && file.name.find("/impl/") == std::string::npos && !by_name_only(file.name))
            expected.insert("genmod/" + file.name);
    const auto headers = listed();
    const std::set<std::string> found(headers.begin(), headers.end());
    std::string wrong;
    for (const auto& header : expected)
        if (found.count(header) == 0) wrong += "missing: " + header + "\n";
    for (const auto& header : found)
        if (expected.count(header) == 0) wrong += "does not belong there: " + header + "\n";
    INFO(wrong);
    CHECK(wrong.empty());
    CHECK(headers.size() == found.size());
}

TEST_CASE("the umbrella puts macros aside first and gives them back last") {
    const auto headers = listed();
    REQUIRE(headers.size() >= 2);
    CHECK(headers.front() == "genmod/core/macros_push.hpp");
    CHECK(headers.back() == "genmod/core/macros_pop.hpp");
}
