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

// The macros that lines of this kind ("#define ", "#undef ", "#pragma pop_macro(") name.
std::set<std::string> names_after(const SourceFile& file, const std::string& kind) {
    std::set<std::string> names;
    for (const auto& line : file.lines) {
        const std::string text = directive(line);
        if (!starts_with(text, kind)) continue;
        const auto from = text.find_first_not_of(" \"", kind.size());
        names.insert(text.substr(from, text.find_first_of(" (\"", from) - from));
    }
    return names;
}

bool puts_macros_aside(const std::string& name) {
    return name.find("macros_push.hpp") != std::string::npos || name.find("macros_pop.hpp") != std::string::npos;
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

TEST_CASE("headers leave no macro behind but the version's numbers") {
    const auto files = files_below("include/genmod");
    std::set<std::string> given_back;
    for (const auto& file : files)
        if (puts_macros_aside(file.name)) given_back.merge(names_after(file, "#pragma pop_macro("));
    std::string wrong;
    for (const auto& file : files) {
        const auto undefined = names_after(file, "#undef ");
        for (const auto& name : names_after(file, "#define "))
            if (!starts_with(name, "GENMOD_VERSION_") && undefined.count(name) + given_back.count(name) == 0)
                wrong += file.name + " defines " + name + "\n";
    }
    INFO(wrong);
    CHECK(wrong.empty());
}

TEST_CASE("headers are guarded by pragma once") {
    std::string wrong;
    for (const auto& file : files_below("include/genmod"))
        if (std::count(file.lines.begin(), file.lines.end(), "#pragma once") != 1 && !puts_macros_aside(file.name))
            wrong += file.name + "\n";
    INFO(wrong);
    CHECK(wrong.empty());
}
