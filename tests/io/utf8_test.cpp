#include "genmod/io/utf8.hpp"

#include "tests/support/catch.hpp"

namespace utf8_test {

using namespace genmod;

TEST_CASE("every code point survives, surrogates do not") {
    std::size_t wrong = 0;
    for (char32_t code = 0; code <= 0x10FFFF; ++code) {
        std::string text;
        io::append_utf8(text, code);
        std::string_view rest = text;
        const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
        if (io::next_code_point(rest) != (surrogate ? U'\uFFFD' : code) || rest.empty() == surrogate) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE("no sequence of two or three bytes is read beyond its end, and the result is valid") {
    std::size_t wrong = 0;
    for (unsigned bytes = 0; bytes < 65536; ++bytes)
        for (const char third : {'\x80', 'a', '\xbf'}) {
            const std::string text{static_cast<char>(bytes >> 8), static_cast<char>(bytes & 255), third};
            for (std::size_t size = 1; size <= 3; ++size) {
                const std::string once = io::valid_utf8(std::string_view(text).substr(0, size));
                if (io::valid_utf8(once) != once) ++wrong;
            }
        }
    CHECK(wrong == 0);
}

TEST_CASE("overlong, cut off and too large sequences are replaced byte by byte") {
    const std::string r = "\xef\xbf\xbd";
    CHECK(io::valid_utf8("\xc0\x80") == r + r);
    CHECK(io::valid_utf8("\xe0\x80\x80") == r + r + r);
    CHECK(io::valid_utf8("\xf0\x80\x80\x80") == r + r + r + r);
    CHECK(io::valid_utf8("\xf4\x90\x80\x80") == r + r + r + r);
    CHECK(io::valid_utf8("a\xe7\x8c") == "a" + r + r);
    CHECK(io::valid_utf8("\xe7\x8c\xab") == "\xe7\x8c\xab");
}

}  // namespace utf8_test
