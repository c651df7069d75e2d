// Size and manners of the files: short, narrow, without macros.
#include <cstdio>
#include <set>

#include "tests/house/source_tree.hpp"
#include "tests/support/catch.hpp"

using namespace house;

namespace {

std::size_t columns(const std::string& line) {  // UTF-8: bytes that begin a character
    return static_cast<std::size_t>(
        std::count_if(line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// The names that lines of this kind ("#define", "#undef") give.
std::set<std::string> names_after(const SourceFile& file, const std::string& kind) {
    std::set<std::string> names;
    for (const auto& line : file.lines) {
        const std::string text = directive(line);
        if (!starts_with(text, kind + " ")) continue;
        const auto from = text.find_first_not_of(" ", kind.size());
        names.insert(text.substr(from, text.find_first_of(" (", from) - from));
    }
    return names;
}

}  // namespace

TEST_CASE("no header is longer than 400 lines") {
    std::string wrong;
    for (const auto& file : files_below("include/genmod")) {
        const std::string length = file.name + ": " + std::to_string(file.lines.size()) + " lines\n";
        if (file.lines.size() > 400) wrong += length;
        if (file.lines.size() > 250) std::printf("note: look twice at %s", length.c_str());
    }
    INFO(wrong);
    CHECK(wrong.empty());
}

TEST_CASE("no line is wider than 120 columns") {
    std::string wrong;
    for (const std::string folder : {"include", "tests", "examples", "benchmarks", "cmake"})
        for (const auto& file : files_below(folder))
            for (std::size_t k = 0; k < file.lines.size(); ++k)
                if (columns(file.lines[k]) > 120)
                    wrong += folder + "/" + file.name + ":" + std::to_string(k + 1) + ": " +
                             std::to_string(columns(file.lines[k])) + " columns\n";
    INFO(wrong);
    CHECK(wrong.empty());
}

TEST_CASE("a header leaves no macro behind but the version's numbers") {
    std::string wrong;
    for (const auto& file : files_below("include/genmod")) {
        const auto undefined = names_after(file, "#undef");
        for (const auto& name : names_after(file, "#define"))
            if (!starts_with(name, "GENMOD_VERSION_") && undefined.count(name) == 0)
                wrong += file.name + " defines " + name + "\n";
    }
    INFO(wrong);
    CHECK(wrong.empty());
}

TEST_CASE("headers are guarded by pragma once") {
    std::string wrong;
    for (const auto& file : files_below("include/genmod"))
        if (std::count(file.lines.begin(), file.lines.end(), "#pragma once") != 1)
            if (file.name != "core/macros_push.hpp" && file.name != "core/macros_pop.hpp") wrong += file.name + "\n";
    INFO(wrong);
    CHECK(wrong.empty());
}
