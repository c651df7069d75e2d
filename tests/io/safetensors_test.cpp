#include "genmod/io/safetensors.hpp"

#include <chrono>
#include <cstring>
#include <filesystem>
#include <limits>

#include "genmod/core/tensor.hpp"
#include "tests/io/scratch.hpp"

namespace safetensors_test {

using namespace genmod;
using scratch::error_of;

namespace {

// Length, header, data.
io::Bytes file_of(const std::string& header, const io::Bytes& data = {}) {
    io::Bytes bytes(8);
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    bytes.insert(bytes.end(), header.begin(), header.end());
    bytes.insert(bytes.end(), data.begin(), data.end());
    return bytes;
}

io::Safetensors open(const std::string& header, const io::Bytes& data = {},
                     const io::SafetensorsOptions& options = {}) {
    return io::Safetensors(file_of(header, data), "the file", options);
}

// What refuses a header; the test fails when it is accepted.
std::string refusal(const std::string& header, std::size_t data = 0) {
    const auto thrown = error_of([&] { open(header, io::Bytes(data)); });
    CHECK(thrown.code == ErrorCode::bad_file);
    CHECK(thrown.says("the file"));
    return thrown.what;
}

std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"dtype":")" + dtype + R"(","shape":[)" + shape + R"(],"data_offsets":[)" + offsets + "]}";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a small file is read") {
    const auto file = open(
        R"({"__metadata__":{"a":"b"},"y":)" + tensor("U8", "2", "4,6") + R"(,"x":)" + tensor("F32", "", "0,4") + "}  ",
        {0, 0, 128, 63, 7, 8});
    CHECK(file.names() == std::vector<std::string>{"x", "y"});
    CHECK(file.metadata().at("a") == "b");
    CHECK(file.entry("y").dtype == io::Dtype::u8);
    CHECK(file.entry("y").shape == Shape{2});
    CHECK(file.read<float>("x").item() == 1.0f);
    CHECK(file.read<double>("y")[1] == 8.0);
    CHECK(file.has("x"));
    CHECK_FALSE(file.has("z"));
    CHECK(contains(error_of([&] { file.entry("z"); }).what, "'x', 'y'"));
    CHECK(contains(error_of([&] { file.read<float>("y", {3}); }).what, "expected shape [3], found [2]"));
}

TEST_CASE("scalars, empty tensors, no tensors and unaligned data are valid") {
    CHECK(open("{}").entries().empty());
    CHECK(open(R"({"__metadata__":{}})").metadata().empty());
    CHECK(open(R"({"a":)" + tensor("F32", "0", "0,0") + "}").read<float>("a").size() == 0);
    CHECK(open(R"({"a":)" + tensor("F32", "3,0,5", "0,0") + R"(,"b":)" + tensor("F64", "0", "0,0") + "}").has("b"));
    // A trailing scalar, four bytes long, as in the well-known SD 1.5 file.
    const auto file =
        open(R"({"a":)" + tensor("U8", "1", "0,1") + R"(,"step":)" + tensor("I32", "", "1,5") + "}", {9, 1, 2, 0, 0});
    CHECK(file.read<std::int64_t>("step").item() == 513);
    CHECK(file.read<float>("step").item() == 513.0f);
    // An empty one between two others, and names with escapes.
    const auto odd = open(R"({"\u0061\n":)" + tensor("U8", "1", "0,1") + R"(,"":)" + tensor("U8", "0", "1,1") +
                              R"(,"c":)" + tensor("U8", "1", "1,2") + "}",
                          {1, 2});
    CHECK(odd.names() == std::vector<std::string>{"", "a\n", "c"});
}

TEST_CASE("every dtype name is known, others are refused by name") {
    for (const io::DtypeInfo& info : io::dtype_table) {
        const std::string bytes = std::to_string(4 * info.bits / 8);
        const auto file =
            open(R"({"a":)" + tensor(std::string(info.name), "4", "0," + bytes) + "}", io::Bytes(std::stoul(bytes)));
        CHECK(to_string(file.entry("a").dtype) == info.name);
        const bool number = static_cast<int>(file.entry("a").dtype) <= static_cast<int>(io::Dtype::boolean);
        if (number)
            CHECK(file.read<float>("a")[3] == 0.0f);
        else
            CHECK(
                contains(error_of([&] { file.read<float>("a"); }).what, std::string(info.name) + " is not supported"));
    }
    for (const char* name : {"F128", "f32", "", "U4", "COMPLEX"})
        CHECK(contains(refusal(R"({"a":)" + tensor(name, "1", "0,4") + "}", 4), "unknown dtype"));
    CHECK(contains(refusal(R"({"a":)" + tensor("F4", "3", "0,1") + "}", 1), "takes"));
    CHECK(contains(refusal(R"({"a":)" + tensor("F6_E2M3", "2", "0,2") + "}", 2), "takes"));
}

TEST_CASE("the length before the header is checked first") {
    const auto of = [](io::Bytes bytes) { return error_of([&] { io::Safetensors(bytes, "the file"); }); };
    for (std::size_t size = 0; size < 8; ++size) CHECK(of(io::Bytes(size)).says("too few"));
    CHECK(of(io::Bytes(8)).says("does not begin with '{'"));
    CHECK(of(io::Bytes(8, 255)).says("over the limit"));
    CHECK(of({3, 0, 0, 0, 0, 0, 0, 0, '{', '}'}).says("short by 1 bytes"));
    CHECK(of({3, 0, 0, 0, 0, 0, 0, 0, '{', '}', '\0'}).says("NUL"));
    CHECK(of({2, 0, 0, 0, 0, 0, 0, 0, '{', '}', 'x'}).says("1 bytes after the last tensor"));
    io::Bytes large(8);
    large[3] = 7;  // 117 MB
    CHECK(of(large).says("over the limit of 16777216"));
    const auto raised = error_of([&] { io::Safetensors(large, "f", {.max_header = ~std::uint64_t{0}}); });
    CHECK(raised.says("over the limit of 100000000"));
}

TEST_CASE("headers that are not the JSON of the format are refused") {
    const std::string good = tensor("U8", "1", "0,1");
    for (const char* text : {" {}",
                             "[]",
                             "\"a\"",
                             "1",
                             "null",
                             "{",
                             "{}x",
                             "{}{}",
                             "{\"a\"}",
                             "{\"a\":1}",
                             "{\"a\":[]}",
                             "{\"a\":{}}",
                             "{\"a\":\"b\"}",
                             "{\"a\":null}",
                             "{\"a\":true}",
                             "{\"a\":{\"dtype\":\"U8\"}}",
                             "{\"__metadata__\":1}",
                             "{\"__metadata__\":{\"a\":1}}",
                             "{\"__metadata__\":{\"a\":{}}}",
                             "{\"__metadata__\":{\"a\":[]}}",
                             "{\"__metadata__\":null}",
                             "\xEF\xBB\xBF{}",
                             "{}\n\x01"})
        CHECK(refusal(text) != "");
    CHECK(contains(refusal(R"({"a":)" + good + R"(,"a":)" + good + "}", 1), "twice"));
    CHECK(contains(refusal(R"({"__metadata__":{},"__metadata__":{}})"), "twice"));
    CHECK(contains(refusal(R"({"__metadata__":{"a":"b","a":"b"}})"), "twice"));
    CHECK(contains(refusal(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1), "twice"));
    CHECK(contains(refusal(R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", 1), "twice"));
    CHECK(
        contains(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"data_offsets":[0,1]}})", 1), "twice"));
    CHECK(contains(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})", 1), "unknown key"));
    CHECK(contains(refusal(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1), "'dtype' is missing"));
    CHECK(contains(refusal(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1), "'shape' is missing"));
    CHECK(contains(refusal(R"({"a":{"dtype":"U8","shape":[1]}})", 1), "'data_offsets' is missing"));
    CHECK(refusal("{\"\xff\":" + good + "}", 1) != "");  // no UTF-8
    CHECK(refusal(R"({"a":)" + good + "}" + std::string(1, '\0'), 1) != "");
}

TEST_CASE("shapes and byte ranges that do not fit are refused") {
    const auto of = [](const std::string& dtype, const std::string& shape, const std::string& offsets,
                       std::size_t data) { return refusal(R"({"a":)" + tensor(dtype, shape, offsets) + "}", data); };
    CHECK(contains(of("F32", "2", "0,4", 4), "takes 8 bytes, its data_offsets span 4"));
    CHECK(contains(of("F32", "1", "0,8", 8), "takes 4 bytes"));
    CHECK(contains(of("F32", "0", "0,4", 4), "takes 0 bytes"));
    CHECK(contains(of("F32", "", "0,0", 0), "takes 4 bytes"));
    CHECK(contains(of("U8", "1", "1,0", 1), "before they begin"));
    CHECK(contains(of("U8", "1", "1,2", 2), "a hole"));
    CHECK(contains(of("U8", "2", "0,2", 1), "short by 1 bytes"));
    CHECK(contains(of("U8", "2", "0,2", 3), "1 bytes after the last tensor"));
    for (const char* shape : {"-1", "1.0", "1e0", "\"1\"", "[1]", "{}", "null", "true", "-0", "01", "+1", "1,"})
        of("U8", shape, "0,1", 1);
    for (const char* offsets : {"0", "0,1,1", "0,1.0", "-0,1", "", "0,\"1\"", "0,[1]", "[0,1]"})
        of("U8", "1", offsets, 1);
    // Products that wrap: to a small number, to zero, and behind a zero.
    CHECK(contains(of("U8", "4294967296,4294967296", "0,0", 0), "too many"));
    CHECK(contains(of("U8", "9223372036854775808,2", "0,0", 0), "too many"));
    CHECK(contains(of("U8", "18446744073709551615,18446744073709551615", "0,1", 1), "too many"));
    CHECK(contains(of("U8", "0,4294967296,4294967296", "0,0", 0), "too many"));
    CHECK(contains(of("F64", "2305843009213693952", "0,0", 0), "too many"));
    CHECK(of("U8", "18446744073709551616", "0,1", 1) != "");
    CHECK(contains(of("U8", "1", "18446744073709551615,0", 1), "before they begin"));
    CHECK(contains(of("U8", "1", "18446744073709551614,18446744073709551615", 1), "a hole"));
    CHECK(contains(of("U8", "1,1,1,1,1,1,1,1,1", "0,1", 1), "more than 8 extents"));
}

TEST_CASE("holes, overlaps and doubles between tensors are refused") {
    const auto two = [](const std::string& a, const std::string& b, std::size_t data) {
        return refusal(R"({"a":)" + a + R"(,"b":)" + b + "}", data);
    };
    CHECK(contains(two(tensor("U8", "1", "0,1"), tensor("U8", "1", "2,3"), 3), "a hole"));
    CHECK(contains(two(tensor("U8", "2", "0,2"), tensor("U8", "2", "1,3"), 3), "an overlap"));
    CHECK(contains(two(tensor("U8", "2", "0,2"), tensor("U8", "2", "0,2"), 2), "an overlap"));
    CHECK(contains(two(tensor("U8", "4", "0,4"), tensor("U8", "1", "1,2"), 4), "an overlap"));
    CHECK(contains(two(tensor("U8", "1", "0,1"), tensor("U8", "0", "9,9"), 1), "a hole"));
}

TEST_CASE("trailing bytes are accepted when asked for") {
    const auto file = open(R"({"a":)" + tensor("U8", "1", "0,1") + "}", {5, 6}, {.allow_trailing_bytes = true});
    CHECK(file.read<std::uint8_t>("a").item() == 5);
}

TEST_CASE("every prefix of a file is refused") {
    const io::Bytes whole =
        file_of(R"({"a":)" + tensor("F32", "2", "0,8") + R"(,"b":)" + tensor("I32", "", "8,12") + "}", io::Bytes(12));
    io::Safetensors(whole, "whole");
    const scratch::Folder folder;
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const io::Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(error_of([&] { io::Safetensors(cut, "cut"); }).code == ErrorCode::bad_file);
        scratch::put(folder / "cut", {reinterpret_cast<const char*>(cut.data()), cut.size()});
        CHECK(error_of([&] { io::Safetensors(folder / "cut"); }).code == ErrorCode::bad_file);
    }
}

TEST_CASE("a file that shrinks after it was opened gives Error(io), no signal") {
    const scratch::Folder folder;
    const io::Bytes whole = file_of(R"({"a":)" + tensor("U8", "9", "0,9") + "}", io::Bytes(9));
    scratch::put(folder / "a", {reinterpret_cast<const char*>(whole.data()), whole.size()});
    const io::Safetensors file(folder / "a");
    std::filesystem::resize_file(folder / "a", whole.size() - 1);
    CHECK(error_of([&] { file.read<float>("a"); }).code == ErrorCode::io);
}

TEST_CASE("numbers are converted, whole ones only when they fit") {
    const auto of = [](const std::string& dtype, const io::Bytes& data) {
        return open(R"({"a":)" + tensor(dtype, "", "0," + std::to_string(data.size())) + "}", data);
    };
    CHECK(of("F64", {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}).read<float>("a").item() == 1.5f);
    CHECK(of("F16", {0, 0x3e}).read<float>("a").item() == 1.5f);
    CHECK(of("BF16", {0xc0, 0x3f}).read<double>("a").item() == 1.5);
    CHECK(of("BF16", {0xc0, 0x3f}).read<bf16>("a").item().bits == 0x3fc0);
    CHECK(of("F32", {0, 0, 0xc0, 0x3f}).read<f16>("a").item().bits == 0x3e00);
    CHECK(of("I8", {0xff}).read<float>("a").item() == -1.0f);
    CHECK(of("I16", {0, 0x80}).read<std::int32_t>("a").item() == -32768);
    CHECK(of("U16", {0xff, 0xff}).read<std::int32_t>("a").item() == 65535);
    CHECK(of("U32", io::Bytes(4, 255)).read<std::int64_t>("a").item() == 4294967295);
    CHECK(of("U64", io::Bytes(8, 255)).read<std::uint64_t>("a").item() == std::numeric_limits<std::uint64_t>::max());
    CHECK(of("BOOL", {2}).read<std::uint8_t>("a").item() == 1);
    CHECK(of("I64", io::Bytes(8, 255)).read<double>("a").item() == -1.0);
    for (const char* dtype : {"U64", "I64"})
        CHECK(contains(error_of([&] { of(dtype, io::Bytes(8, 255)).read<std::uint8_t>("a"); }).what, "does not fit"));
    CHECK(contains(error_of([&] { of("F32", {0, 0, 0x80, 0x3f}).read<std::int32_t>("a"); }).what, "does not fit"));
}

TEST_CASE("expect() counts and names what differs") {
    std::string header = "{";
    for (int i = 0; i < 9; ++i)
        header += (i == 0 ? "\"t" : ",\"t") + std::to_string(i) + "\":" + tensor("U8", "0", "0,0");
    const auto file = open(header + "}");
    std::vector<io::WantedTensor> wanted;
    for (int i = 0; i < 9; ++i) wanted.push_back({"t" + std::to_string(i), {0}});
    file.expect(wanted);
    wanted.pop_back();
    file.expect(wanted, false);
    CHECK(contains(error_of([&] { file.expect(wanted); }).what, "1 left over: 't8'"));
    wanted.push_back({"t8", {0, 2}});
    CHECK(
        contains(error_of([&] { file.expect(wanted); }).what, "1 of another shape: 't8: expected [0, 2], found [0]'"));
    for (int i = 0; i < 7; ++i) wanted.push_back({"more" + std::to_string(i), {0}});
    const std::string text = error_of([&] { file.expect(wanted); }).what;
    CHECK(contains(text, "7 missing: 'more0', 'more1', 'more2', 'more3', 'more4' and 2 more"));
    CHECK(contains(text, "has 9 tensors, expected 16"));
}

TEST_CASE("names from files are shortened and cleaned in messages") {
    const std::string name(5000, 'n');
    const std::string text = refusal("{\"" + name + "\\u001b[31m\":1}");
    CHECK(text.size() < 300);
    const std::string escape = refusal("{\"\\u001b[31m\":1}");
    CHECK(escape.find('\x1b') == std::string::npos);
}

TEST_CASE("a hundred thousand tensors load in linear time") {
    const auto seconds = [](int count) {
        std::string header = "{";
        for (int i = 0; i < count; ++i)
            header += (i == 0 ? "\"layer." : ",\"layer.") + std::to_string(i) +
                      "\":" + tensor("U8", "1", std::to_string(i) + "," + std::to_string(i + 1));
        const io::Bytes bytes = file_of(header + "}", io::Bytes(static_cast<std::size_t>(count)));
        const auto start = std::chrono::steady_clock::now();
        const io::Safetensors file(bytes, "many");
        for (int i = 0; i < count; i += 10) CHECK(file.has("layer." + std::to_string(i)));
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    const double ten = seconds(10000), hundred = seconds(100000);
    CHECK(hundred < 100 * ten);  // 10 when linear, 100 when quadratic; generous for a busy machine
}

TEST_CASE("a hostile header is refused early: deep nesting, long keys, many metadata") {
    CHECK(refusal("{\"a\":" + std::string(1000000, '[') + "}") != "");
    CHECK(refusal("{\"a\":{\"shape\":" + std::string(1000000, '[')) != "");
    std::string header = "{\"__metadata__\":{";
    for (int i = 0; i <= 100000; ++i) header += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"\"";
    CHECK(contains(refusal(header + "}}"), "too many"));
}

TEST_CASE("files of the Python package are read: all types, made by tests/reference/make_io_goldens.py") {
    const io::Safetensors file(GENMOD_GOLDEN_DIR "/io/python.safetensors");
    CHECK(file.metadata().at("note") == "caf\xc3\xa9");
    for (const char* name : {"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8"}) {
        CHECK(to_string(file.entry(name).dtype) == name);
        const auto numbers = file.read<double>(name, {2, 3});
        for (Index i = 0; i < 6; ++i) CHECK(numbers[i] == static_cast<double>(i * 20 + 1));
    }
    CHECK(file.read<std::uint8_t>("BOOL")[0] == 1);
    CHECK(file.read<std::uint8_t>("BOOL")[1] == 0);
    CHECK(file.read<float>("scalar").item() == 2.5f);
    CHECK(file.read<float>("empty", {0, 4}).size() == 0);
}

}  // namespace safetensors_test
