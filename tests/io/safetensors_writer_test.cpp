#include "genmod/io/safetensors_writer.hpp"

#include <clocale>
#include <cstring>
#include <filesystem>
#include <limits>
#include <locale>

#include "genmod/core/tensor.hpp"
#include "genmod/io/safetensors.hpp"
#include "tests/io/scratch.hpp"

namespace safetensors_writer_test {

using namespace genmod;
using scratch::error_of;

namespace {

template <class T>
Tensor<T> some(const Shape& shape) {
    Tensor<T> tensor(shape);
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<T>(i * 20 + 1);
    return tensor;
}

// The file tests/golden/io/genmod.safetensors, which make_io_goldens.py reads with the Python package.
io::SafetensorsWriter example() {
    io::SafetensorsWriter writer;
    writer.add("F64", some<double>({2, 3}));
    writer.add("F32", some<float>({2, 3}));
    writer.add("F16", some<float>({2, 3}), io::Dtype::f16);
    writer.add("BF16", some<float>({2, 3}), io::Dtype::bf16);
    writer.add("I64", some<std::int64_t>({2, 3}));
    writer.add("I32", some<std::int32_t>({2, 3}));
    writer.add("I16", some<std::int16_t>({2, 3}));
    writer.add("I8", some<std::int8_t>({2, 3}));
    writer.add("U64", some<std::uint64_t>({2, 3}));
    writer.add("U32", some<std::uint32_t>({2, 3}));
    writer.add("U16", some<std::uint16_t>({2, 3}));
    writer.add("U8", some<std::uint8_t>({2, 3}));
    writer.add("scalar", Tensor<float>::full({}, 2.5f));
    writer.add("empty", Tensor<float>(Shape{0, 4}));
    writer.set_metadata("note", "caf\xc3\xa9 \"quoted\"\n");
    writer.enable_checksums();
    return writer;
}

}  // namespace

TEST_CASE("what is written is read again, in every type") {
    const io::Safetensors file(example().to_bytes(), "memory");
    for (const char* name : {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8"}) {
        CHECK(to_string(file.entry(name).dtype) == name);
        const auto numbers = file.read<double>(name, {2, 3});
        for (Index i = 0; i < 6; ++i) CHECK(numbers[i] == static_cast<double>(i * 20 + 1));
    }
    CHECK(file.read<float>("scalar", {}).item() == 2.5f);
    CHECK(file.read<float>("empty", {0, 4}).size() == 0);
    CHECK(file.metadata().at("note") == "caf\xc3\xa9 \"quoted\"\n");
}

TEST_CASE("the layout: padded header, numbers aligned to their size, sorted names") {
    const io::Bytes bytes = example().to_bytes();
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    CHECK(header % 8 == 0);
    const io::Safetensors file(bytes, "memory");
    for (const auto& entry : file.entries())
        CHECK((8 + header + entry.begin) % (static_cast<std::uint64_t>(bits_of(entry.dtype)) / 8) == 0);
}

TEST_CASE("saving twice gives the same bytes, whatever the order of adding") {
    const scratch::Folder folder;
    io::SafetensorsWriter a, b;
    a.add("x", some<float>({3}));
    a.add("y", some<double>({3}));
    a.set_metadata("k", "1");
    a.set_metadata("l", "2");
    b.set_metadata("l", "2");
    b.set_metadata("k", "1");
    b.add("y", some<double>({3}));
    b.add("x", some<float>({3}));
    CHECK(a.to_bytes() == b.to_bytes());
    a.save(folder / "a");
    b.save(folder / "b");
    CHECK(io::read_file(folder / "a") == io::read_file(folder / "b"));
    CHECK(io::read_file(folder / "a") == a.to_bytes());
}

TEST_CASE("the bytes equal those of the golden file, also under a locale with commas") {
    struct Comma : std::numpunct<char> {
        char do_decimal_point() const override { return ','; }
        char do_thousands_sep() const override { return '.'; }
        std::string do_grouping() const override { return "\3"; }
    };
    const std::locale before = std::locale::global(std::locale(std::locale(), new Comma));
    const std::string c_before = std::setlocale(LC_ALL, nullptr);
    for (const char* name : {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"})
        if (std::setlocale(LC_ALL, name) != nullptr) break;
    const io::Bytes bytes = example().to_bytes();
    const io::Safetensors file(bytes, "memory");
    std::setlocale(LC_ALL, c_before.c_str());
    std::locale::global(before);
    CHECK(bytes == io::read_file(GENMOD_GOLDEN_DIR "/io/genmod.safetensors"));
    CHECK(file.read<float>("scalar").item() == 2.5f);
}

TEST_CASE("numbers and names that cannot be written are refused") {
    io::SafetensorsWriter writer;
    writer.add("a", some<float>({2}));
    CHECK(error_of([&] { writer.add("a", some<float>({2})); }).says("two tensors are called 'a'"));
    CHECK(error_of([&] { writer.add("__metadata__", some<float>({2})); }).says("reserved"));
    CHECK(error_of([&] { writer.add("b", Tensor<float>()); }).says("no numbers"));
    CHECK(error_of([&] { writer.add("b", some<float>({2}), io::Dtype::f8_e4m3); }).says("cannot write dtype F8_E4M3"));
    CHECK(error_of([&] { writer.set_metadata("genmod_crc32", ""); }).says("reserved"));
    writer.add("c", Tensor<std::int32_t>::full({1}, 256), io::Dtype::u8);
    CHECK(error_of([&] { writer.to_bytes(); }).says("holds a number that U8 cannot"));
}

TEST_CASE("a failed save leaves the old file") {
    const scratch::Folder folder;
    scratch::put(folder / "a", "old");
    io::SafetensorsWriter writer;
    writer.add("c", Tensor<float>::full({1}, 0.5f), io::Dtype::u8);
    CHECK(error_of([&] { writer.save(folder / "a"); }).code == ErrorCode::argument);
    CHECK(io::read_text_file(folder / "a") == "old");
    CHECK(folder.count() == 1);
}

TEST_CASE("texts that are not UTF-8 are mended, their checksum with them") {
    io::SafetensorsWriter writer;
    writer.set_metadata("k", "a\xff");
    writer.enable_checksums();
    const io::Safetensors file(writer.to_bytes(), "memory");
    CHECK(file.metadata().at("k") == "a\xef\xbf\xbd");
}

TEST_CASE("a large tensor is written and read in pieces") {
    const auto numbers = some<double>({200000});
    io::SafetensorsWriter writer;
    writer.add("a", numbers, io::Dtype::f32);
    writer.enable_checksums();
    const auto back = io::Safetensors(writer.to_bytes(), "memory").read<double>("a");
    CHECK(std::equal(back.begin(), back.end(), numbers.begin()));
}

}  // namespace safetensors_writer_test
