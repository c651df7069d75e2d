// The project's own files, line by line, for the tests that watch over their order.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace house {

inline bool starts_with(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

struct SourceFile {
    std::string name;  // relative to the folder asked for, with forward slashes
    std::vector<std::string> lines;
};

// The C++ files below `folder` of the project, by name.
inline std::vector<SourceFile> files_below(const std::string& folder) {
    std::vector<SourceFile> files;
    const std::filesystem::path root = std::filesystem::path(GENMOD_SOURCE_DIR) / folder;
    if (!std::filesystem::exists(root)) return files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
        const std::string extension = entry.path().extension().string();
        if (!entry.is_regular_file() || (extension != ".hpp" && extension != ".cpp")) continue;
        SourceFile file{entry.path().lexically_relative(root).generic_string(), {}};
        std::ifstream in(entry.path());
        for (std::string line; std::getline(in, line);) file.lines.push_back(line);
        files.push_back(std::move(file));
    }
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return files;
}

// "core" for "core/tensor.hpp"; empty for a header that stands beside the rooms.
inline std::string room_of(const std::string& header) {
    const auto slash = header.find('/');
    return slash == std::string::npos ? "" : header.substr(0, slash);
}

// The line's directive without spaces around the hash and in front: "#include <x>", "#define X"; empty for other lines.
inline std::string directive(const std::string& line) {
    auto at = line.find_first_not_of(" \t");
    if (at == std::string::npos || line[at] != '#') return "";
    at = line.find_first_not_of(" \t", at + 1);
    return at == std::string::npos ? "" : "#" + line.substr(at);
}

// What an include line names: `system` for <x>; empty name for other lines.
struct Include {
    std::string name;
    bool system = false;
};

inline Include include_of(const std::string& line) {
    const std::string text = directive(line);
    if (!starts_with(text, "#include")) return {};
    const auto open = text.find_first_of("<\"");
    if (open == std::string::npos) return {};
    const bool system = text[open] == '<';
    const auto close = text.find(system ? '>' : '"', open + 1);
    return {text.substr(open + 1, close - open - 1), system};
}

// Headers that need more than the umbrella's libraries, or are for some programs only: included by name.
inline bool by_name_only(const std::string& header) {
    static const std::vector<std::string> names{"core/eigen.hpp",    "io/gzip.hpp",           "io/png_read.hpp",
                                                "data/idx_gzip.hpp", "data/image_folder.hpp", "clip/tokenizer.hpp"};
    return starts_with(header, "dist/") || std::find(names.begin(), names.end(), header) != names.end();
}

}  // namespace house
