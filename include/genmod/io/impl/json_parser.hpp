// Reads JSON (RFC 8259) without building it: a handler hears of each value as it comes.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/io/utf8.hpp"

namespace genmod::io::detail {

// Handler: null(), boolean(bool), number_integer(int64: below zero), number_unsigned(uint64), number_float(double),
// string(std::string&), key(std::string&), start_object(), end_object(), start_array(), end_array(); each returns
// whether to go on. syntax_error(byte, what was expected) ends the parse. How deep a text may nest is the handler's to
// say; nothing here recurses.
template <class Handler>
class JsonParser {
public:
    JsonParser(std::string_view text, Handler& handler) : text_(text), handler_(handler) {}

    // Whether the text is one value, and the handler went along with all of it.
    bool run() {
        do {
            if (!value() || !after_value()) return false;
        } while (!open_.empty());
        return next() == end ? true : wrong("the end of the text");
    }

private:
    static constexpr int end = -1;  // no byte, where the text ends

    int peek() const { return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : end; }

    // The next byte that is not white space; it stays where it is.
    int next() {
        while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
        return peek();
    }

    bool wrong(const char* expected) { return handler_.syntax_error(at_, expected); }

    bool take(std::string_view word) {
        if (text_.substr(at_, word.size()) != word) return false;
        at_ += word.size();
        return true;
    }

    // A value whole, or the openings that lead to the first one within.
    bool value() {
        while (true) {
            switch (next()) {
                case '{': {
                    if (!open('{', handler_.start_object())) return false;
                    if (next() == '}') return close();
                    if (!member()) return false;
                    break;
                }
                case '[': {
                    if (!open('[', handler_.start_array())) return false;
                    if (next() == ']') return close();
                    break;
                }
                case '"': return text() && handler_.string(string_);
                case 't': return take("true") ? handler_.boolean(true) : wrong("a value");
                case 'f': return take("false") ? handler_.boolean(false) : wrong("a value");
                case 'n': return take("null") ? handler_.null() : wrong("a value");
                default: return number();
            }
        }
    }

    // The closings after a value, up to the comma (and the key) before the next one.
    bool after_value() {
        while (!open_.empty()) {
            const bool object = open_.back() == '{';
            const int byte = next();
            if (byte == ',') {
                ++at_;
                return !object || member();
            }
            if (byte != (object ? '}' : ']')) return wrong(object ? "',' or '}'" : "',' or ']'");
            if (!close()) return false;
        }
        return true;
    }

    bool open(char kind, bool accepted) {
        ++at_;
        open_.push_back(kind);
        return accepted;
    }

    bool close() {
        ++at_;
        const bool object = open_.back() == '{';
        open_.pop_back();
        return object ? handler_.end_object() : handler_.end_array();
    }

    // A key and its colon.
    bool member() {
        if (next() != '"') return wrong("a key in quotes");
        if (!text() || !handler_.key(string_)) return false;
        if (next() != ':') return wrong("':'");
        ++at_;
        return true;
    }

    // A text in quotes, into string_.
    bool text() {
        string_.clear();
        ++at_;
        while (true) {
            const std::size_t start = at_;
            while (peek() >= 0x20 && peek() < 0x80 && peek() != '"' && peek() != '\\') ++at_;
            string_.append(text_, start, at_ - start);
            const int byte = peek();
            if (byte == '"') {
                ++at_;
                return true;
            }
            if (byte == '\\' ? !escape() : !beyond_ascii()) return false;
        }
    }

    bool beyond_ascii() {
        if (peek() == end) return wrong("'\"' at the end of a text");
        if (peek() < 0x20) return wrong("a control character as \\u00..");
        std::string_view rest = text_.substr(at_);
        const char32_t code = next_code_point(rest);
        const std::size_t bytes = text_.size() - at_ - rest.size();
        if (bytes == 1) return wrong("UTF-8");
        at_ += bytes;
        append_utf8(string_, code);
        return true;
    }

    bool escape() {
        ++at_;
        constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
        const int byte = peek();
        if (const auto k = letters.find(static_cast<char>(byte)); byte != end && k != std::string_view::npos) {
            string_ += meanings[k];
            ++at_;
            return true;
        }
        std::uint32_t code = 0, low = 0;
        if (byte != 'u' || !four_digits(code)) return wrong("an escape of JSON");
        if (code >= 0xDC00 && code < 0xE000) return wrong("the first half of a surrogate pair before the second");
        if (code >= 0xD800 && code < 0xDC00) {
            if (!take("\\") || peek() != 'u' || !four_digits(low) || low < 0xDC00 || low >= 0xE000)
                return wrong("the second half of a surrogate pair");
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        append_utf8(string_, code);
        return true;
    }

    // The letter u and four hexadecimal digits.
    bool four_digits(std::uint32_t& code) {
        const std::string_view digits = text_.substr(at_ + 1, 4);
        const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (digits.size() != 4 || error != std::errc() || stop != digits.data() + 4) return false;
        at_ += 5;
        return true;
    }

    bool digits() {
        const std::size_t start = at_;
        while (peek() >= '0' && peek() <= '9') ++at_;
        return at_ > start;
    }

    bool number() {
        const std::size_t start = at_;
        const bool negative = take("-");
        if (peek() == '0')
            ++at_;
        else if (!digits())
            return wrong(negative ? "a digit" : "a value");
        bool whole = true;
        if (take(".")) {
            whole = false;
            if (!digits()) return wrong("a digit");
        }
        if (take("e") || take("E")) {
            whole = false;
            if (!take("+")) take("-");
            if (!digits()) return wrong("a digit");
        }
        return convert(text_.substr(start, at_ - start), whole, negative);
    }

    // Whole numbers that 64 bits do not hold become floating-point ones.
    bool convert(std::string_view number, bool whole, bool negative) {
        const auto read = [number](auto& result) {
            return std::from_chars(number.data(), number.data() + number.size(), result).ec == std::errc();
        };
        std::int64_t integer = 0;
        std::uint64_t natural = 0;
        if (whole && negative && read(integer)) return handler_.number_integer(integer);
        if (whole && !negative && read(natural)) return handler_.number_unsigned(natural);
        double real = 0;
        return read(real) ? handler_.number_float(real) : wrong("a number that a double holds");
    }

    std::string_view text_;
    Handler& handler_;
    std::size_t at_ = 0;
    std::vector<char> open_;  // '{' and '[' not closed yet
    std::string string_;
};

// What every reader of JSON here starts from: it keeps the first complaint and ends the parse.
class SaxBase {
public:
    const std::string& complaint() const { return complaint_; }

    bool syntax_error(std::size_t byte, const char* expected) {
        return refuse("byte ", byte, ": syntax error, expected ", expected);
    }

protected:
    template <class... Parts>
    bool refuse(const Parts&... parts) {
        if (complaint_.empty()) complaint_ = message(parts...);
        return false;
    }

private:
    std::string complaint_;
};

// Feeds `text` to the handler. Throws Error(bad_file) with `name` unless it accepts all of it.
template <class Handler>
void scan_json(std::string_view text, std::string_view name, Handler& handler) {
    if (const auto nul = text.find('\0'); nul != std::string_view::npos)
        fail(ErrorCode::bad_file, name, ": NUL byte in the JSON text at byte ", nul);
    if (text.substr(0, 3) == "\xEF\xBB\xBF") fail(ErrorCode::bad_file, name, ": byte order mark before the JSON text");
    if (!JsonParser<Handler>(text, handler).run()) fail(ErrorCode::bad_file, name, ": ", handler.complaint());
}

}  // namespace genmod::io::detail
