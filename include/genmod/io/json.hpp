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
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io {

// A JSON value: the field that `kind` names, the others empty. Whole numbers that fit an Index are kept as such, all
// other numbers as double. (A std::variant of these took compilers ten times as long.)
struct Json {
    using Items = std::vector<Json>;
    using Members = std::map<std::string, Json, std::less<>>;
    enum class Kind { null, flag, whole, real, text, list, object };

    Kind kind = Kind::null;
    bool flag = false;
    Index whole = 0;
    double real = 0;
    std::string text = {};
    Items items = {};
    Members members = {};

    Json() = default;
    Json(bool value) : kind(Kind::flag), flag(value) {}
    Json(int value) : kind(Kind::whole), whole(value) {}
    Json(Index value) : kind(Kind::whole), whole(value) {}
    Json(double value) : kind(Kind::real), real(value) {}
    Json(const char* value) : kind(Kind::text), text(value) {}
    Json(std::string value) : kind(Kind::text), text(std::move(value)) {}
    Json(Items value) : kind(Kind::list), items(std::move(value)) {}
    Json(Members value) : kind(Kind::object), members(std::move(value)) {}

    friend bool operator==(const Json&, const Json&) = default;
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
    return names[static_cast<std::size_t>(json.kind)];
}

// A JSON object read by key. Each get_ call throws Error(bad_file) with file and key when the value is of another kind;
// one with a fallback takes it when the key is missing or null.
class Config {
public:
    explicit Config(Json json, std::string name = "config") : name_(std::move(name)), json_(std::move(json)) {
        if (json_.kind != Json::Kind::object)
            fail(ErrorCode::bad_file, name_, ": expected an object, found ", kind_of(json_));
    }
    static Config load(const std::string& path, const JsonLimits& limits = {}) {
        return Config(parse_json(read_text_file(path, limits.bytes), path, limits), path);
    }

    const std::string& name() const { return name_; }
    const Json::Members& members() const { return json_.members; }

    // Null when the key is missing.
    const Json* find(std::string_view key) const {
        const auto member = members().find(key);
        return member == members().end() ? nullptr : &member->second;
    }
    bool has(std::string_view key) const {
        const Json* json = find(key);
        return json != nullptr && json->kind != Json::Kind::null;
    }

    Index integer(std::string_view key) const { return at(key, Json::Kind::whole, "a whole number").whole; }
    bool flag(std::string_view key) const { return at(key, Json::Kind::flag, "true or false").flag; }
    const std::string& text(std::string_view key) const { return at(key, Json::Kind::text, "text").text; }
    const Json::Items& list(std::string_view key) const { return at(key, Json::Kind::list, "a list").items; }
    double number(std::string_view key) const {
        const Json& json = at(key);
        if (json.kind == Json::Kind::whole) return static_cast<double>(json.whole);
        return at(key, Json::Kind::real, "a number").real;
    }
    Config object(std::string_view key) const {
        return Config(at(key, Json::Kind::object, "an object"), message(name_, ": ", key));
    }
    std::vector<Index> integers(std::string_view key) const {
        return items(key, Json::Kind::whole, &Json::whole, "whole numbers");
    }
    std::vector<std::string> texts(std::string_view key) const {
        return items(key, Json::Kind::text, &Json::text, "texts");
    }

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

    const Json& at(std::string_view key, Json::Kind kind, const char* expected) const {
        const Json& json = at(key);
        if (json.kind != kind)
            fail(ErrorCode::bad_file, name_, ": key '", key, "': expected ", expected, ", found ", kind_of(json));
        return json;
    }

    template <class T>
    std::vector<T> items(std::string_view key, Json::Kind kind, T Json::*field, const char* expected) const {
        std::vector<T> result;
        for (const Json& json : list(key)) {
            if (json.kind != kind)
                fail(ErrorCode::bad_file, name_, ": key '", key, "': expected a list of ", expected, ", found ",
                     kind_of(json), " in it");
            result.push_back(json.*field);
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
