#include "genmod/io/checkpoint.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <limits>

#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/io/scratch.hpp"

namespace checkpoint_test {

using namespace genmod;
using scratch::error_of;

namespace {

io::Checkpoint example(Index size = 4) {
    io::Checkpoint checkpoint;
    Rng rng(1);
    checkpoint.put("model.weight", rng.normals<float>({size, 3}));
    checkpoint.put("model.bias", rng.normals<float>({size}));
    checkpoint.put("adam.m", rng.normals<double>({size, 3}));
    checkpoint.put("scale", Tensor<float>::full({}, 2.0f));
    checkpoint.put_number("step", 12345);
    checkpoint.put_number("seed", std::numeric_limits<std::uint64_t>::max());
    checkpoint.put_text("config", "{\n  \"width\": 32\n}");
    return checkpoint;
}

// Everything a resume asks for.
void read_all(io::Checkpoint& checkpoint, Index size = 4) {
    checkpoint.get<float>("model.weight", {size, 3});
    checkpoint.get<float>("model.bias", {size});
    checkpoint.get<double>("adam.m", {size, 3});
    checkpoint.get<float>("scale", {});
    checkpoint.number("step");
    checkpoint.number("seed");
    checkpoint.text("config");
    checkpoint.finish();
}

io::Checkpoint from(const io::Bytes& bytes) { return io::Checkpoint(io::Safetensors(bytes, "checkpoint")); }

}  // namespace

TEST_CASE("a checkpoint gives back what was put in it") {
    const scratch::Folder folder;
    const std::string path = folder / "run.safetensors";
    example().save(path);
    auto checkpoint = io::Checkpoint::load(path);
    CHECK(checkpoint.names() == std::vector<std::string>{"adam.m", "model.bias", "model.weight", "scale"});
    Rng rng(1);
    const auto expected = rng.normals<float>({4, 3});
    const auto found = checkpoint.get<float>("model.weight", {4, 3});
    CHECK(std::equal(found.begin(), found.end(), expected.begin()));
    CHECK(checkpoint.number("step") == 12345);
    CHECK(checkpoint.number("seed") == std::numeric_limits<std::uint64_t>::max());
    CHECK(checkpoint.text("config") == "{\n  \"width\": 32\n}");
    CHECK(checkpoint.has_number("step"));
    CHECK_FALSE(checkpoint.has_text("step"));
    CHECK(checkpoint.has("scale"));
    read_all(checkpoint);
}

TEST_CASE("the same state gives the same bytes") { CHECK(example().to_bytes() == example().to_bytes()); }

TEST_CASE("what is missing, left over or of another shape or type is named") {
    auto checkpoint = from(example().to_bytes());
    CHECK(error_of([&] { checkpoint.get<float>("model.wight", {4, 3}); }).says("no tensor 'model.wight' among 4"));
    CHECK(error_of([&] { checkpoint.get<float>("model.weight", {3, 4}); }).says("expected shape [3, 4], found [4, 3]"));
    CHECK(error_of([&] { checkpoint.get<double>("model.weight", {4, 3}); }).says("expected F64, found F32"));
    CHECK(error_of([&] { checkpoint.number("config"); }).says("'number/config' is missing"));
    CHECK(error_of([&] { checkpoint.text("none"); }).says("missing"));
    checkpoint.get<float>("scale", {});
    CHECK(error_of([&] {
              checkpoint.finish();
          }).says("3 of 4 tensors left over: 'adam.m', 'model.bias', 'model.weight'"));
    const auto thrown = error_of([&] { checkpoint.expect({{"scale", {1}}, {"more", {}}}); });
    CHECK(thrown.says("1 missing: 'more'"));
    CHECK(thrown.says("1 of another shape: 'scale: expected [1], found []'"));
    CHECK(thrown.says("3 left over"));
    CHECK(error_of([] { io::Checkpoint().names(); }).code == ErrorCode::argument);
    auto twice = example();
    CHECK(error_of([&] { twice.put_number("step", 1); }).code == ErrorCode::argument);
    CHECK(error_of([&] { twice.put("scale", Tensor<float>::full({}, 1)); }).code == ErrorCode::argument);
}

TEST_CASE("other safetensors files are no checkpoints") {
    io::SafetensorsWriter writer;
    writer.add("a", Tensor<float>::full({}, 1));
    CHECK(error_of([&] { from(writer.to_bytes()); }).says("not a checkpoint"));
    writer.set_metadata("format", "pt");
    CHECK(error_of([&] { from(writer.to_bytes()); }).says("'pt'"));
    writer.set_metadata("format", "genmod checkpoint 1");
    CHECK(error_of([&] { from(writer.to_bytes()); }).says("checksums"));
    writer.set_metadata("number/step", "-1");
    writer.enable_checksums();
    auto checkpoint = from(writer.to_bytes());
    CHECK(error_of([&] { checkpoint.number("step"); }).says("'-1'"));
}

TEST_CASE("every prefix is refused") {
    const io::Bytes whole = example().to_bytes();
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK(error_of([&] {
                  from({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
              }).code == ErrorCode::bad_file);
}

TEST_CASE("every single flipped bit is noticed, and names the tensor when it is in the numbers") {
    const io::Bytes whole = example().to_bytes();
    const std::size_t data = whole.size() - (4 * 3 * 8 + (4 * 3 + 4 + 1) * 4);
    std::size_t silent = 0, unnamed = 0;
    for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
        io::Bytes flipped = whole;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1u << bit % 8));
        const auto thrown = error_of([&] {
            auto checkpoint = from(flipped);
            read_all(checkpoint);
        });
        if (thrown.code != ErrorCode::bad_file) ++silent;
        if (bit / 8 >= data && !(thrown.says("tensor '") && thrown.says("checksum"))) ++unnamed;
    }
    CHECK(silent == 0);
    CHECK(unnamed == 0);
}

TEST_CASE("random flips in a large checkpoint are noticed") {
    const Index size = 20000;
    const io::Bytes whole = example(size).to_bytes();
    Rng rng(2);
    for (int round = 0; round < 100; ++round) {
        io::Bytes flipped = whole;
        flipped[static_cast<std::size_t>(rng.below(static_cast<Index>(whole.size())))] ^=
            static_cast<std::uint8_t>(1u << rng.below(8));
        CHECK(error_of([&] {
                  auto checkpoint = from(flipped);
                  read_all(checkpoint, size);
              }).code == ErrorCode::bad_file);
    }
}

TEST_CASE("a full disk while saving leaves the old checkpoint loadable") {
    const scratch::Folder folder;
    const std::string path = folder / "run.safetensors";
    example().save(path);
    const std::size_t size = example(5).to_bytes().size();
    for (const std::size_t limit : {std::size_t{0}, std::size_t{5}, size / 2, size - 1}) {
        const pid_t child = fork();
        if (child == 0) {
            signal(SIGXFSZ, SIG_IGN);
            const rlimit bound{limit, limit};
            setrlimit(RLIMIT_FSIZE, &bound);
            _exit(error_of([&] { example(5).save(path); }).code == ErrorCode::io ? 0 : 1);
        }
        int status = 1;
        REQUIRE(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        auto checkpoint = io::Checkpoint::load(path);
        read_all(checkpoint);
        CHECK(folder.count() == 1);
    }
}

TEST_CASE("killed while saving, a run finds a whole checkpoint") {
    const scratch::Folder folder;
    const std::string path = folder / "run.safetensors";
    example(4).save(path);
    for (int round = 0; round < 40; ++round) {
        const pid_t child = fork();
        if (child == 0)
            for (;;) example(4).save(path);
        usleep(static_cast<useconds_t>(200 * round));
        kill(child, SIGKILL);
        REQUIRE(waitpid(child, nullptr, 0) == child);
        auto checkpoint = io::Checkpoint::load(path);
        read_all(checkpoint);
    }
    example(4).save(path);
    CHECK(folder.count() == 1);
}

}  // namespace checkpoint_test
