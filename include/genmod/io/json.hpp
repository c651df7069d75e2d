// JSON as configurations use it: read strictly and with limits, written with sorted keys and the same bytes each time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io {

// A JSON value. Whole numbers that fit an Index are kept as such, all other numbers as double.
struct Json {
    using Items = std::vector<Json>;
    using Members = std::map<std::string, Json, std::less<>>;
    std::variant<std::nullptr_t, bool, Index, double, std::string, Items, Members> value = nullptr;

    Json() = default;
    Json(bool flag) : value(flag) {}
    Json(int number) : value(Index{number}) {}
    Json(Index number) : value(number) {}
    Json(double number) : value(number) {}
    Json(const char* text) : value(std::string(text)) {}
    Json(std::string text) : value(std::move(text)) {}
    Json(Items items) : value(std::move(items)) {}
    Json(Members members) : value(std::move(members)) {}

    friend bool operator==(const Json& a, const Json& b) { return a.value == b.value; }
};

// What a text may hold: its size, nested lists and objects, and values in all.
struct JsonLimits {
    std::size_t bytes = std::size_t{1} << 24;
    std::size_t depth = 32;
    std::size_t values = std::size_t{1} << 20;
};

namespace detail {

// Templates only so that genmod::compiled can hold their one instance (T is Json).
template <class T>
T parse_json(std::string_view text, std::string_view name, const JsonLimits& limits);
template <class T>
std::string json_text(const T& json, int indent);

}  // namespace detail

// Throws Error(bad_file) with `name` and the byte: not JSON (RFC 8259), a key twice in one object, or over the limits.
inline Json parse_json(std::string_view text, std::string_view name = "JSON", const JsonLimits& limits = {}) {
    return detail::parse_json<Json>(text, name, limits);
}

// The value as text; with indent >= 0 on many lines. Bytes that are not UTF-8 become U+FFFD, NaN and infinity null.
inline std::string to_text(const Json& json, int indent = -1) { return detail::json_text(json, indent); }

inline const char* kind_of(const Json& json) {
    static constexpr const char* names[] = {"null", "true or false", "a whole number", "a number",
                                            "text", "a list",        "an object"};
    return names[json.value.index()];
}

// A JSON object read by key. Each get_ call throws Error(bad_file) with file and key when the value is of another kind;
// one with a fallback takes it when the key is missing or null.
class Config {
public:
    explicit Config(Json json, std::string name = "config") : name_(std::move(name)), json_(std::move(json)) {
        if (!std::holds_alternative<Json::Members>(json_.value))
            fail(ErrorCode::bad_file, name_, ": expected an object, found ", kind_of(json_));
    }
    static Config load(const std::string& path, const JsonLimits& limits = {}) {
        return Config(parse_json(read_text_file(path, limits.bytes), path, limits), path);
    }

    const std::string& name() const { return name_; }
    const Json::Members& members() const { return std::get<Json::Members>(json_.value); }

    // Null when the key is missing.
    const Json* find(std::string_view key) const {
        const auto member = members().find(key);
        return member == members().end() ? nullptr : &member->second;
    }
    bool has(std::string_view key) const {
        const Json* json = find(key);
        return json != nullptr && !std::holds_alternative<std::nullptr_t>(json->value);
    }

    Index integer(std::string_view key) const { return get<Index>(key, "a whole number"); }
    bool flag(std::string_view key) const { return get<bool>(key, "true or false"); }
    const std::string& text(std::string_view key) const { return get<std::string>(key, "text"); }
    const Json::Items& list(std::string_view key) const { return get<Json::Items>(key, "a list"); }
    double number(std::string_view key) const {
        const Json& json = at(key);
        if (const Index* whole = std::get_if<Index>(&json.value)) return static_cast<double>(*whole);
        return get<double>(key, "a number");
    }
    Config object(std::string_view key) const {
        get<Json::Members>(key, "an object");
        return Config(at(key), message(name_, ": ", key));
    }
    std::vector<Index> integers(std::string_view key) const { return items<Index>(key, "whole numbers"); }
    std::vector<std::string> texts(std::string_view key) const { return items<std::string>(key, "texts"); }

    Index integer(std::string_view key, Index fallback) const { return has(key) ? integer(key) : fallback; }
    bool flag(std::string_view key, bool fallback) const { return has(key) ? flag(key) : fallback; }
    double number(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }
    std::string text(std::string_view key, const std::string& fallback) const {
        return has(key) ? text(key) : fallback;
    }

    // Throws Error(bad_file) naming the first key that is not among `known`.
    void allow_only(const std::set<std::string_view>& known) const {
        for (const auto& [key, json] : members())
            if (known.count(key) == 0) fail(ErrorCode::bad_file, name_, ": unknown key ", detail::in_quotes(key));
    }

private:
    const Json& at(std::string_view key) const {
        const Json* json = find(key);
        if (json == nullptr) fail(ErrorCode::bad_file, name_, ": key '", key, "' is missing");
        return *json;
    }

    template <class T>
    const T& get(std::string_view key, const char* expected) const {
        const Json& json = at(key);
        const T* value = std::get_if<T>(&json.value);
        if (value == nullptr)
            fail(ErrorCode::bad_file, name_, ": key '", key, "': expected ", expected, ", found ", kind_of(json));
        return *value;
    }

    template <class T>
    std::vector<T> items(std::string_view key, const char* expected) const {
        std::vector<T> result;
        for (const Json& json : list(key)) {
            const T* value = std::get_if<T>(&json.value);
            if (value == nullptr)
                fail(ErrorCode::bad_file, name_, ": key '", key, "': expected a list of ", expected, ", found ",
                     kind_of(json), " in it");
            result.push_back(*value);
        }
        return result;
    }

    std::string name_;
    Json json_;
};

}  // namespace genmod::io

#ifndef GENMOD_COMPILED
#include "genmod/io/impl/json.hpp"
#endif
