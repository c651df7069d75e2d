// What it costs to include genmod: time and peak memory of the compiler at -O2, printed. Only memory can fail.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/house/source_tree.hpp"
#include "tests/support/catch.hpp"

using namespace house;

namespace {

struct Cost {
    double seconds = 0, processor_seconds = 0, megabytes = 0;
    bool compiled = false;
};

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

Cost cost_of(const std::string& source, const std::string& name) {
    std::ofstream(GENMOD_SCRATCH "/" + name + ".cpp") << source;
    const std::string command =
        "cd '" GENMOD_SCRATCH "' && exec " GENMOD_COMPILE_COMMAND " -c " + name + ".cpp -o " + name + ".o";
    const auto begin = std::chrono::steady_clock::now();
    const pid_t child = fork();
    if (child == 0) {
        setenv("CCACHE_DISABLE", "1", 1);
        execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
        _exit(127);
    }
    int status = 0;
    rusage use{};
    wait4(child, &status, 0, &use);
    Cost cost;
    cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    cost.processor_seconds = seconds(use.ru_utime) + seconds(use.ru_stime);
    cost.megabytes = static_cast<double>(use.ru_maxrss) / 1024;
    cost.compiled = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    std::printf("compile cost: %s: %.1f s (processor %.1f s), %.0f MB\n", name.c_str(), cost.seconds,
                cost.processor_seconds, cost.megabytes);
    return cost;
}

}  // namespace

TEST_CASE("a file that includes the umbrella compiles within 700 MB; budget 6 s") {
    const Cost cost = cost_of("#include <genmod/genmod.hpp>\nint main() {}\n", "umbrella");
    CHECK(cost.compiled);
    CHECK(cost.megabytes <= 700);
}

TEST_CASE("a file that includes the rooms core to nn compiles within 700 MB; budget 3 s") {
    std::string source;
    for (const std::string room : {"core", "kernels", "autograd", "ops", "nn"})
        for (const auto& file : files_below("include/genmod/" + room))
            if (file.name.find("impl/") == std::string::npos && !starts_with(file.name, "macros_") &&
                !by_name_only(room + "/" + file.name))
                source += "#include <genmod/" + room + "/" + file.name + ">\n";
    const Cost cost = cost_of(source + "int main() {}\n", "core_to_nn");
    CHECK(cost.compiled);
    CHECK(cost.megabytes <= 700);
}
