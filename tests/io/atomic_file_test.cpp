#include "genmod/io/atomic_file.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <thread>
#include <vector>

#include "tests/io/scratch.hpp"

namespace atomic_file_test {

using namespace genmod;
using scratch::error_of;

namespace {

// Calls that fail: the test's own fsync and rename stand in for the C library's in this program.
std::atomic<int> fail_fsync{0}, fail_rename{0};

bool hit(std::atomic<int>& countdown) { return countdown.load() > 0 && countdown.fetch_sub(1) == 1; }

}  // namespace

extern "C" int fsync(int fd) {
    if (hit(fail_fsync)) {
        errno = EIO;
        return -1;
    }
    return static_cast<int>(syscall(SYS_fsync, fd));
}

extern "C" int rename(const char* from, const char* to) noexcept {
    if (hit(fail_rename)) {
        errno = EACCES;
        return -1;
    }
    return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

TEST_CASE("a new file appears, an old one is replaced and keeps its mode") {
    const scratch::Folder folder;
    io::write_file(folder / "a", "one");
    CHECK(io::read_text_file(folder / "a") == "one");
    REQUIRE(chmod((folder / "a").c_str(), 0640) == 0);
    io::write_file(folder / "a", "two");
    CHECK(io::read_text_file(folder / "a") == "two");
    struct stat status {};
    REQUIRE(stat((folder / "a").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0640);
    CHECK(folder.count() == 1);
}

TEST_CASE("relative names and links work; the link stays a link") {
    const scratch::Folder folder;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());
    io::write_file("plain", "x");
    io::write_file("./dotted", "y");
    std::filesystem::create_symlink("plain", "link");
    io::write_file("link", "z");
    std::filesystem::current_path(before);
    CHECK(io::read_text_file(folder / "plain") == "z");
    CHECK(std::filesystem::is_symlink(folder / "link"));
    CHECK(folder.count() == 3);
}

TEST_CASE("without commit() the old file stays and nothing is left behind") {
    const scratch::Folder folder;
    scratch::put(folder / "a", "old");
    {
        io::AtomicFile file(folder / "a");
        file.write(scratch::bytes("new"));
        CHECK(io::read_text_file(folder / "a") == "old");
    }
    CHECK(io::read_text_file(folder / "a") == "old");
    CHECK(folder.count() == 1);
}

TEST_CASE("a failing fsync or rename leaves the old file and no other") {
    const scratch::Folder folder;
    scratch::put(folder / "a", "old");
    auto& countdown = GENERATE(false, true) ? fail_fsync : fail_rename;
    countdown = 1;
    const auto thrown = error_of([&] { io::write_file(folder / "a", "new"); });
    countdown = 0;
    CHECK(thrown.code == ErrorCode::io);
    CHECK((thrown.says("Input/output error") || thrown.says("Permission denied")));
    CHECK(io::read_text_file(folder / "a") == "old");
    CHECK(folder.count() == 1);
}

TEST_CASE("a failing fsync of the folder is told") {
    const scratch::Folder folder;
    fail_fsync = 2;
    CHECK(error_of([&] { io::write_file(folder / "a", "new"); }).code == ErrorCode::io);
    fail_fsync = 0;
    CHECK(io::read_text_file(folder / "a") == "new");
}

TEST_CASE("a full disk leaves the old file and no other, whatever the byte it stops at") {
    const scratch::Folder folder;
    scratch::put(folder / "a", "old");
    const std::string large(10000, 'x');
    for (const rlim_t limit : {0u, 1u, 4096u, 9999u}) {
        const pid_t child = fork();
        if (child == 0) {
            signal(SIGXFSZ, SIG_IGN);
            const rlimit bound{limit, limit};
            setrlimit(RLIMIT_FSIZE, &bound);
            int status = 1;
            try {
                io::write_file(folder / "a", large);
            } catch (const Error& error) {
                status = error.code() == ErrorCode::io && std::string(error.what()).find("too large") < 1000 ? 0 : 2;
            }
            _exit(status);
        }
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
        CHECK(io::read_text_file(folder / "a") == "old");
        CHECK(folder.count() == 1);
    }
}

TEST_CASE("what a killed process left behind is taken over") {
    const scratch::Folder folder;
    scratch::put(folder / "a", "old");
    const pid_t child = fork();
    if (child == 0) {
        io::AtomicFile file(folder / "a");
        file.write(scratch::bytes("half of the new and longer content"));
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(io::read_text_file(folder / "a") == "old");
    CHECK(folder.count() == 2);
    io::write_file(folder / "a", "new");
    CHECK(io::read_text_file(folder / "a") == "new");
    CHECK(folder.count() == 1);
}

TEST_CASE("killed at any moment, a process leaves one of the two contents") {
    const scratch::Folder folder;
    const std::string one(300000, '1'), two(200000, '2');
    scratch::put(folder / "a", one);
    for (int round = 0; round < 40; ++round) {
        const pid_t child = fork();
        if (child == 0)
            for (int i = 0;; ++i) io::write_file(folder / "a", i % 2 == 0 ? two : one);
        usleep(static_cast<useconds_t>(300 * round));
        kill(child, SIGKILL);
        REQUIRE(waitpid(child, nullptr, 0) == child);
        const std::string content = io::read_text_file(folder / "a");
        CHECK((content == one || content == two));
        CHECK(folder.count() <= 2);
    }
}

TEST_CASE("two writers of one file do not mix: the second is refused") {
    const scratch::Folder folder;
    io::AtomicFile first(folder / "a");
    const auto thrown = error_of([&] { io::AtomicFile second(folder / "a"); });
    CHECK(thrown.code == ErrorCode::io);
    CHECK(thrown.says("somebody else"));
    first.write(scratch::bytes("first"));
    first.commit();
    CHECK(io::read_text_file(folder / "a") == "first");
}

TEST_CASE("threads that write one file leave a whole one") {
    const scratch::Folder folder;
    std::vector<std::thread> threads;
    for (char c = 'a'; c < 'e'; ++c)
        threads.emplace_back([&folder, c] {
            for (int i = 0; i < 20; ++i) error_of([&] { io::write_file(folder / "f", std::string(50000, c)); });
        });
    for (auto& thread : threads) thread.join();
    const std::string content = io::read_text_file(folder / "f");
    CHECK(content == std::string(50000, content[0]));
    CHECK(folder.count() == 1);
}

TEST_CASE("places that cannot hold a file are refused with the system's words") {
    const scratch::Folder folder;
    const auto of = [](const std::string& path) { return error_of([&] { io::write_file(path, "x"); }); };
    CHECK(of(folder / "none/a").code == ErrorCode::io);
    CHECK(of(folder / "none/a").says("No such file"));
    CHECK(of(folder.path().string()).says("a folder"));
    CHECK(of("/dev/full").says("a device"));
    CHECK(of("").code == ErrorCode::io);
    std::filesystem::create_symlink("nowhere/x", folder / "broken");
    CHECK(of(folder / "broken").says("link leads nowhere"));
    CHECK(folder.count() == 1);
}

}  // namespace atomic_file_test
