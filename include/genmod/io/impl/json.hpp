// Definitions of io/json.hpp, over the SAX interface and the writer of nlohmann-json.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io::detail {

// What every reader of JSON here starts from: it keeps the first complaint and ends the parse.
class SaxBase {
public:
    const std::string& complaint() const { return complaint_; }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
        // Its words are "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ...; last read:
        // '...'"; the last part quotes the file, which may hold anything.
        std::string_view words = error.what();
        words = words.substr(0, words.find("; last read"));
        if (const auto start = words.find("] "); start != std::string_view::npos) words.remove_prefix(start + 2);
        return refuse("byte ", position, ": ", words.substr(0, 200));
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
    // The lexer takes a NUL for the end of the text and skips a byte order mark.
    if (const auto nul = text.find('\0'); nul != std::string_view::npos)
        fail(ErrorCode::bad_file, name, ": NUL byte in the JSON text at byte ", nul);
    if (text.substr(0, 3) == "\xEF\xBB\xBF") fail(ErrorCode::bad_file, name, ": byte order mark before the JSON text");
    const bool accepted = nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
    if (!accepted || !handler.complaint().empty())
        fail(ErrorCode::bad_file, name, ": ", handler.complaint().empty() ? "not JSON" : handler.complaint());
}

// Builds a Json from the events of the parser.
class JsonBuilder : public SaxBase {
public:
    explicit JsonBuilder(const JsonLimits& limits) : limits_(limits) {}

    Json take() { return std::move(root_); }

    bool null() { return add(Json()); }
    bool boolean(bool flag) { return add(Json(flag)); }
    bool number_integer(std::int64_t number) { return add(Json(Index{number})); }
    bool number_unsigned(std::uint64_t number) {
        if (number <= static_cast<std::uint64_t>(std::numeric_limits<Index>::max()))
            return add(Json(static_cast<Index>(number)));
        return add(Json(static_cast<double>(number)));
    }
    bool number_float(double number, const std::string&) { return add(Json(number)); }
    bool string(std::string& text) { return add(Json(std::move(text))); }
    bool binary(nlohmann::json::binary_t&) { return refuse("binary value"); }
    bool start_object(std::size_t) { return open(Json(Json::Members())); }
    bool start_array(std::size_t) { return open(Json(Json::Items())); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }

    bool key(std::string& text) {
        auto& members = std::get<Json::Members>(open_.back()->value);
        const auto [place, added] = members.try_emplace(text);
        if (!added) return refuse("key ", in_quotes(text), " stands twice in one object");
        member_ = &place->second;
        return true;
    }

private:
    // Where the next value belongs: the member just named, the end of the innermost list, or the root.
    Json* place(Json json) {
        Json* target = &root_;
        if (!open_.empty()) {
            if (auto* items = std::get_if<Json::Items>(&open_.back()->value))
                target = &items->emplace_back();
            else
                target = member_;
        }
        *target = std::move(json);
        return target;
    }

    bool add(Json json) {
        if (++values_ > limits_.values) return refuse("more than ", limits_.values, " values");
        place(std::move(json));
        return true;
    }

    bool open(Json json) {
        if (++values_ > limits_.values) return refuse("more than ", limits_.values, " values");
        if (open_.size() == limits_.depth) return refuse("nested deeper than ", limits_.depth);
        open_.push_back(place(std::move(json)));
        return true;
    }

    bool close() {
        open_.pop_back();
        return true;
    }

    JsonLimits limits_;
    Json root_;
    std::vector<Json*> open_;  // stays valid: a list only grows while its last item is not open
    Json* member_ = nullptr;
    std::size_t values_ = 0;
};

template <class T>
T parse_json(std::string_view text, std::string_view name, const JsonLimits& limits) {
    if (text.size() > limits.bytes)
        fail(ErrorCode::bad_file, name, ": JSON text of ", text.size(), " bytes, the limit is ", limits.bytes);
    JsonBuilder builder(limits);
    scan_json(text, name, builder);
    return builder.take();
}

inline nlohmann::json foreign(const Json& json) {
    return std::visit(
        [](const auto& value) -> nlohmann::json {
            using Value = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, Json::Items>) {
                auto list = nlohmann::json::array();
                for (const Json& item : value) list.push_back(foreign(item));
                return list;
            } else if constexpr (std::is_same_v<Value, Json::Members>) {
                auto object = nlohmann::json::object();
                for (const auto& [key, member] : value) object.emplace(key, foreign(member));
                return object;
            } else {
                return value;
            }
        },
        json.value);
}

template <class T>
std::string json_text(const T& json, int indent) {
    return foreign(json).dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace genmod::io::detail
