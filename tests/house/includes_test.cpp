// Includes point one way: to the own room or to rooms further down; other libraries stay where they belong.
#include <map>
#include <set>

#include "tests/house/source_tree.hpp"
#include "tests/support/catch.hpp"

using namespace house;

namespace {

// Which rooms a room may include, besides itself.
const std::map<std::string, std::set<std::string>>& rooms_below() {
    static const auto rooms = [] {
        std::map<std::string, std::set<std::string>> below;
        below["core"] = {};
        below["io"] = {"core"};
        below["data"] = {"core", "io"};
        below["kernels"] = {"core"};
        below["metrics"] = {"core", "kernels"};
        below["autograd"] = {"core", "kernels"};
        below["ops"] = {"core", "kernels", "autograd"};
        below["nn"] = {"core", "kernels", "autograd", "ops", "io", "data", "metrics"};
        below["optim"] = below["nn"];
        below["optim"].insert("nn");
        const std::set<std::string> models{"diffusion", "vae", "flows", "gan", "clip"};
        for (const auto& model : models) {
            below[model] = below["optim"];
            below[model].insert("optim");
        }
        below["dist"] = below["diffusion"];
        below["stable_diffusion"] = below["diffusion"];
        below["stable_diffusion"].insert(models.begin(), models.end());
        return below;
    }();
    return rooms;
}

bool in_standard_library(const std::string& header) { return header.find_first_of("/.") == std::string::npos; }

// Where a header of another library may be included.
bool may_include(const std::string& file, const std::string& header) {
    const std::string room = room_of(file);
    const bool kernel_body = starts_with(file, "kernels/impl/");
    if (in_standard_library(header)) return true;
    if (starts_with(header, "xsimd/") || header == "immintrin.h" || header == "arm_neon.h")
        return file == "kernels/impl/xsimd.hpp";
    if (starts_with(header, "Eigen/")) return kernel_body || file == "core/eigen.hpp";
    if (header == "omp.h") return file == "core/parallel.hpp";
    if (starts_with(header, "stb")) return room == "io";
    if (starts_with(file, "io/impl/stb")) return header.find('/') == std::string::npos;  // C headers, before stb does
    if (header == "png.h") return file == "io/png_read.hpp";
    if (header == "zlib.h") return file == "io/gzip.hpp";
    if (header == "utf8proc.h") return file == "clip/tokenizer.hpp";
    if (header == "mpi.h") return room == "dist";
    if (file == "kernels/impl/amx.hpp" && (header == "sys/syscall.h" || header == "unistd.h")) return true;
    const std::set<std::string> posix{"unistd.h", "fcntl.h", "sys/stat.h", "sys/file.h", "sys/mman.h", "sys/types.h"};
    return posix.count(header) == 1 && (room == "io" || room == "core");
}

// `visit(file, line, include)` for every include in the library.
void each_include(const auto& visit) {
    for (const auto& file : files_below("include/genmod"))
        for (const auto& line : file.lines)
            if (const Include include = include_of(line); !include.name.empty()) visit(file.name, line, include);
}

}  // namespace

TEST_CASE("includes point to the own room or below") {
    std::string wrong;
    each_include([&](const std::string& file, const std::string& line, const Include& include) {
        const std::string room = room_of(file);
        if (room.empty() || include.system) return;  // the umbrella may name everything
        INFO(file);
        REQUIRE(rooms_below().count(room) == 1);  // a new room is to be named above
        const std::string header = starts_with(include.name, "genmod/") ? include.name.substr(7) : "";
        const std::string target = room_of(header);
        const bool downwards = target == room || rooms_below().at(room).count(target) == 1;
        // Other rooms see a kernel's declaration; its body is the kernels' own affair.
        const bool body_of_others = room != "kernels" && starts_with(header, "kernels/impl/");
        const bool not_in_umbrella = !by_name_only(file) && by_name_only(header);
        if (header == "version.hpp" || (downwards && !body_of_others && !not_in_umbrella)) return;
        wrong += file + ": " + line + "\n";
    });
    INFO(wrong);
    CHECK(wrong.empty());
}

TEST_CASE("other libraries are included where they belong") {
    std::string wrong;
    each_include([&](const std::string& file, const std::string& line, const Include& include) {
        if (include.system && !may_include(file, include.name)) wrong += file + ": " + line + "\n";
    });
    INFO(wrong);
    CHECK(wrong.empty());
}

TEST_CASE("only core/parallel knows OpenMP") {
    std::string wrong;
    for (const auto& file : files_below("include/genmod"))
        for (const auto& line : file.lines)
            if (starts_with(directive(line), "#pragma omp") || line.find("_Pragma(\"omp") != std::string::npos)
                if (file.name != "core/parallel.hpp") wrong += file.name + ": " + line + "\n";
    INFO(wrong);
    CHECK(wrong.empty());
}
