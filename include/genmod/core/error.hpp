// The one exception of the library, and the check that throws it.
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace genmod {

// What went wrong. The value is the exit code that the examples return for it.
enum class ErrorCode {
    internal = 1,    // a bug of the library
    argument = 2,    // a value, option or shape that does not fit
    bad_file = 3,    // a file that is damaged, hostile or of an unsupported kind
    memory = 4,      // out of memory, or over the caller's budget
    io = 5,          // the system refused to read or write
    non_finite = 6,  // NaN or infinity in a loss, gradient or picture
    stopped = 130,   // the caller asked to stop
};

class Error : public std::runtime_error {
public:
    Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    ErrorCode code() const noexcept { return code_; }

private:
    ErrorCode code_;
};

namespace detail {

inline void append(std::string& text, std::string_view part) { text += part; }
inline void append(std::string& text, char part) { text += part; }

template <class Number>
    requires(std::is_arithmetic_v<Number> && !std::same_as<Number, char>)
void append(std::string& text, Number part) {
    if constexpr (std::same_as<Number, bool>)
        text += part ? "true" : "false";
    else
        text += std::to_string(part);
}

template <class Part>
    requires requires(const Part& part) {
        { to_string(part) } -> std::convertible_to<std::string>;
    }
void append(std::string& text, const Part& part) { text += to_string(part); }

}  // namespace detail

// Joins strings, numbers and anything that has a to_string().
template <class... Parts>
std::string message(const Parts&... parts) {
    std::string text;
    (detail::append(text, parts), ...);
    return text;
}

template <class... Parts>
[[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
    throw Error(code, message(parts...));
}

// Throws Error(argument) with the joined parts unless `ok`. The parts are only read when it throws.
template <class... Parts>
void check(bool ok, const Parts&... parts) {
    if (!ok) fail(ErrorCode::argument, parts...);
}

}  // namespace genmod
