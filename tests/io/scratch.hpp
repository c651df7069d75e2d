// What the tests of files share: a folder that goes away, and a look at the error of a call.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "genmod/core/error.hpp"
#include "genmod/io/read_file.hpp"
#include "tests/support/catch.hpp"

namespace scratch {

class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "genmod-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string operator/(const std::string& name) const { return (path_ / name).string(); }
    const std::filesystem::path& path() const { return path_; }

    // How many entries it has.
    std::size_t count() const {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
    }

private:
    std::filesystem::path path_;
};

// Writes without the library's help.
inline void put(const std::string& path, std::string_view content) {
    std::ofstream out(path, std::ios::binary);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    REQUIRE(out.flush().good());
}

inline genmod::io::Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }

// What a call threw: empty when nothing or something else.
struct Thrown {
    genmod::ErrorCode code = genmod::ErrorCode::internal;
    std::string what;
    bool says(std::string_view part) const { return what.find(part) != std::string::npos; }
};

template <class F>
Thrown error_of(F&& call) {
    try {
        call();
    } catch (const genmod::Error& error) {
        return {error.code(), error.what()};
    }
    return {};
}

}  // namespace scratch
