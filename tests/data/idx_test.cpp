#include "genmod/data/idx.hpp"

#include <filesystem>

#include "genmod/data/idx_gzip.hpp"
#include "tests/io/scratch.hpp"

namespace idx_test {

using namespace genmod;
using scratch::error_of;

namespace {

io::Bytes idx(const std::vector<std::uint32_t>& extents, std::size_t content, std::uint8_t type = 8) {
    io::Bytes bytes{0, 0, type, static_cast<std::uint8_t>(extents.size())};
    for (const std::uint32_t extent : extents)
        for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(extent >> shift));
    for (std::size_t i = 0; i < content; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
    return bytes;
}

std::string refusal(const io::Bytes& bytes) {
    const auto thrown = error_of([&] { data::parse_idx(bytes, "the file"); });
    CHECK(thrown.code == ErrorCode::bad_file);
    CHECK(thrown.says("the file"));
    return thrown.what;
}

void put(const std::string& path, const io::Bytes& bytes) {
    scratch::put(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

TEST_CASE("bytes of any rank are read") {
    const auto tensor = data::parse_idx(idx({2, 3}, 6), "f");
    CHECK(tensor.shape() == Shape{2, 3});
    CHECK(tensor[5] == 5);
    CHECK(data::parse_idx(idx({1, 1, 1, 1, 1, 1, 1, 1}, 1), "f").rank() == 8);
}

TEST_CASE("every prefix, wrong sizes and extents that wrap are refused") {
    const io::Bytes good = idx({2, 2, 3}, 12);
    for (std::size_t size = 0; size < good.size(); ++size)
        refusal({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
    refusal(idx({2, 2, 3}, 13));
    refusal(idx({0, 2}, 0));
    refusal(idx({}, 1));
    refusal(idx({0xffffffff, 0xffffffff, 0xffffffff}, 1));
    refusal(idx({65536, 65536, 65536, 65536}, 0));
    refusal(idx({1, 1, 1, 1, 1, 1, 1, 1, 1}, 1));
    CHECK(refusal(idx({1}, 4, 0x0d)).find("type 13") != std::string::npos);
    CHECK(refusal({0x1f, 0x8b, 8, 0, 0}).find("gzip") != std::string::npos);
}

TEST_CASE("pictures and labels make a set; they must fit") {
    const scratch::Folder folder;
    put(folder / "images", idx({3, 2, 2}, 12));
    put(folder / "labels", idx({3}, 3));
    put(folder / "four", idx({4}, 4));
    const auto images = data::load_idx(folder / "images", folder / "labels");
    CHECK(images.pixels.shape() == Shape{3, 2, 2, 1});
    CHECK(images.labels == std::vector<Index>{0, 1, 2});
    CHECK(images.class_names == std::vector<std::string>{"0", "1", "2"});
    CHECK(data::load_idx(folder / "images").labels.empty());
    CHECK(error_of([&] { data::load_idx(folder / "images", folder / "four"); }).says("expected labels [3], found [4]"));
    CHECK(error_of([&] { data::load_idx(folder / "labels"); }).says("expected pictures"));
    CHECK(error_of([&] { data::load_idx(folder / "none"); }).code == ErrorCode::io);
}

TEST_CASE("MNIST is read from its packed files") {
    const std::string folder = std::string(GENMOD_TEST_DATA) + "/mnist/";
    if (!std::filesystem::exists(folder)) {
        WARN("no reference data: skipped");
        return;
    }
    const auto images = data::load_idx_gzip(folder + "t10k-images-idx3-ubyte.gz", folder + "t10k-labels-idx1-ubyte.gz");
    CHECK(images.pixels.shape() == Shape{10000, 28, 28, 1});
    CHECK(images.class_names.size() == 10);
    CHECK(images.labels[0] == 7);
    CHECK(images.with_label({7}).size() == 1028);
    const auto batch = images.batch({0, 1}, {.pad_to = 32});
    CHECK(batch.shape() == Shape{2, 32, 32, 1});
    CHECK(batch[0] == -1.0f);
}

TEST_CASE("Fashion-MNIST of Debian is read") {
    const std::string folder = "/usr/share/datasets/fashion-mnist/";
    if (!std::filesystem::exists(folder + "t10k-images-idx3-ubyte.gz")) {
        WARN("dataset-fashion-mnist is not installed: skipped");
        return;
    }
    const auto images = data::load_idx_gzip(folder + "t10k-images-idx3-ubyte.gz", folder + "t10k-labels-idx1-ubyte.gz");
    CHECK(images.size() == 10000);
    CHECK(images.with_label({9}).size() == 1000);
}

}  // namespace idx_test
