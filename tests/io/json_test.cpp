#include "genmod/io/json.hpp"

#include <limits>
#include <string>

#include "genmod/core/rng.hpp"
#include "tests/io/scratch.hpp"

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#endif

namespace json_test {

using namespace genmod;
using scratch::error_of;

TEST_CASE("a configuration is read by key, with fallbacks") {
    const io::Config config(io::parse_json(R"({"width": 32, "mults": [1, 2, 4], "eps": 1e-6, "lr": 2, "name": "a\u00e9",
        "flag": true, "none": null, "down": ["A", "B"], "inner": {"x": 1}, "nested": [{"y": [2]}]})"));
    CHECK(config.integer("width") == 32);
    CHECK(config.integers("mults") == std::vector<Index>{1, 2, 4});
    CHECK(config.number("eps") == 1e-6);
    CHECK(config.number("lr") == 2.0);
    CHECK(config.text("name") == "a\xc3\xa9");
    CHECK(config.flag("flag"));
    CHECK(config.texts("down") == std::vector<std::string>{"A", "B"});
    CHECK(config.object("inner").integer("x") == 1);
    CHECK(config.has("width"));
    CHECK_FALSE(config.has("none"));
    CHECK(config.integer("none", 7) == 7);
    CHECK(config.integer("missing", 8) == 8);
    CHECK(config.number("missing", 0.5) == 0.5);
    CHECK(config.text("missing", "x") == "x");
    CHECK(config.flag("missing", true));
    CHECK(config.list("nested").size() == 1);
}

TEST_CASE("wrong kinds are told with file and key") {
    const scratch::Folder folder;
    scratch::put(folder / "config.json", R"({"width": "32", "mults": [1, "2"], "eps": 1.5, "inner": {"x": []}})");
    const auto config = io::Config::load(folder / "config.json");
    const auto text = error_of([&] { config.integer("width"); });
    CHECK(text.code == ErrorCode::bad_file);
    CHECK(text.says(folder / "config.json"));
    CHECK(text.says("key 'width': expected a whole number, found text"));
    CHECK(error_of([&] { config.integers("mults"); }).says("found text in it"));
    CHECK(error_of([&] { config.integer("eps"); }).says("found a number"));
    CHECK(error_of([&] { config.integer("depth"); }).says("key 'depth' is missing"));
    CHECK(error_of([&] { config.object("inner").integer("x"); }).says("inner: key 'x'"));
    CHECK(error_of([&] { config.allow_only({"width", "mults", "eps"}); }).says("unknown key 'inner'"));
    CHECK(error_of([&] { io::Config(io::parse_json("[]")); }).says("expected an object, found a list"));
}

TEST_CASE("texts that are not JSON, or too much of it, are refused") {
    const auto of = [](const std::string& text, const io::JsonLimits& limits = {}) {
        const auto thrown = error_of([&] { io::parse_json(text, "x.json", limits); });
        CHECK(thrown.code == ErrorCode::bad_file);
        CHECK(thrown.says("x.json"));
        return thrown.what;
    };
    for (const char* text : {"",          " ",           "{",
                             "{\"a\":}",  "[1,]",        "nul",
                             "1 2",       "'a'",         "{a:1}",
                             "// c\n1",   "\"\xff\"",    "NaN",
                             "Infinity",  "01",          "\xEF\xBB\xBF{}",
                             "[1]\x01",   "\"\n\"",      "\"\\ud800\"",
                             "1e999",     "1e-999",      "-",
                             "1.",        ".5",          "1e",
                             "\"\\u12\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
                             "[}",        "{\"a\":1]",   "]"})
        of(text);
    CHECK(of(std::string("{}\0", 3)).find("NUL") != std::string::npos);
    CHECK(of(R"({"a":{"b":1,"b":1}})").find("twice") != std::string::npos);
    CHECK(of(std::string(1000000, '[')).find("nested deeper than 32") != std::string::npos);
    CHECK(of("[1,2,3]", {.values = 3}).find("more than 3 values") != std::string::npos);
    CHECK(of("[1,2,3]", {.bytes = 6}).find("limit is 6") != std::string::npos);
    CHECK(of("[[1]]", {.depth = 1}).find("nested") != std::string::npos);
}

TEST_CASE("whole numbers keep all their digits, larger ones become double") {
    CHECK(io::parse_json("9223372036854775807") == io::Json(std::numeric_limits<Index>::max()));
    CHECK(io::parse_json("-9223372036854775808") == io::Json(std::numeric_limits<Index>::min()));
    CHECK(io::parse_json("9223372036854775808") == io::Json(9223372036854775808.0));
    CHECK(io::parse_json("1.0") == io::Json(1.0));
}

TEST_CASE("values are written with sorted keys and read back the same") {
    io::Json::Members members;
    members["b"] = io::Json::Items{1, 2.5, "x\n\"\\", nullptr == nullptr, io::Json()};
    members["a"] = io::Json::Members{{"caf\xc3\xa9", 0.1}, {"large", Index{1} << 60}};
    const io::Json json(members);
    const std::string text = io::to_text(json);
    CHECK(text ==
          "{\"a\":{\"caf\xc3\xa9\":0.1,\"large\":1152921504606846976},\"b\":[1,2.5,\"x\\n\\\"\\\\\",true,null]}");
    CHECK(io::parse_json(text) == json);
    CHECK(io::parse_json(io::to_text(json, 2)) == json);
    for (const double number : {0.1, 1e300, 5e-324, -1.0 / 3, 123456789.125, 1e21})
        CHECK(io::parse_json(io::to_text(number)) == io::Json(number));
    CHECK(io::to_text(std::numeric_limits<double>::infinity()) == "null");
    CHECK(io::to_text("a\xff") == "\"a\xef\xbf\xbd\"");
}

#if __has_include(<nlohmann/json.hpp>)
TEST_CASE("spoilt texts are accepted and read as nlohmann-json does") {
    const std::vector<std::string> texts{
        R"({"a": [1, -2, 3.5e-3, 0.25E+2, -0, -0.0], "b": {"c": null, "d": [true, false]}, "e": "x\"\\\/\b\f\n\r\t"})",
        R"(["\u00e9\ud83d\ude00\uD834\udd1e", [[[]], {}, [{}]], {"": ""}, 18446744073709551615, -9223372036854775808])",
        "\t{ \"caf\xc3\xa9\" :\r\n[ 1e-7 , 123456789012345678901234567890, \"\xf0\x9f\x98\x80\" ] }  ",
    };
    const std::string bytes = "{}[]\":,\\/u0123eE+-. \n\t\xc3\xa9\xff\x01tfn";
    Rng rng(11);
    const auto at = [&](const std::string& text) {
        return static_cast<std::size_t>(rng.below(static_cast<Index>(text.size())));
    };
    int accepted = 0, refused = 0;
    for (int round = 0; round < 30000; ++round) {
        std::string text = texts[static_cast<std::size_t>(rng.below(3))];
        for (Index edit = rng.below(3); edit >= 0; --edit) {
            if (text.empty()) break;
            const std::size_t place = at(text);
            switch (rng.below(4)) {
                case 0: text[place] = bytes[at(bytes)]; break;
                case 1: text.insert(place, 1, bytes[at(bytes)]); break;
                case 2: text.erase(place, 1); break;
                default: text.insert(at(text), text.substr(place, 4)); break;
            }
        }
        bool ours = true;
        io::Json json;
        try {
            json = io::parse_json(text, "text");
        } catch (const Error& error) {
            const std::string why = error.what();
            // Two rules that are stricter here.
            if (why.find("twice") != std::string::npos || why.find("a double holds") != std::string::npos) continue;
            ours = false;
        }
        INFO(text);
        REQUIRE(ours == nlohmann::json::accept(text));
        if (ours) REQUIRE(nlohmann::json::parse(text) == nlohmann::json::parse(io::to_text(json)));
        ++(ours ? accepted : refused);
    }
    REQUIRE(accepted > 3000);
    REQUIRE(refused > 3000);
}
#endif

}  // namespace json_test
