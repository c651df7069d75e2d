// Any bytes as a JSON text: only genmod::Error may leave, and what is accepted survives being written and read again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "genmod/core/error.hpp"
#include "genmod/io/json.hpp"

using namespace genmod;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    io::Json json;
    try {
        json = io::parse_json(text, "fuzz");
    } catch (const Error& error) {
        if (error.code() != ErrorCode::bad_file) __builtin_trap();
        return 0;
    }
    if (io::parse_json(io::to_text(json)) != json || io::parse_json(io::to_text(json, 2)) != json) __builtin_trap();
    try {
        const io::Config config(json, "fuzz");
        config.number("a", 1.0);
        config.integers("b");
        config.object("c").text("d");
    } catch (const Error&) {}
    return 0;
}
