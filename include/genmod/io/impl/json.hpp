// Definitions of io/json.hpp.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/io/impl/json_parser.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/read_file.hpp"
#include "genmod/io/utf8.hpp"

namespace genmod::io::detail {

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
    bool number_float(double number) { return add(Json(number)); }
    bool string(std::string& text) { return add(Json(std::move(text))); }
    bool start_object() { return open(Json(Json::Members())); }
    bool start_array() { return open(Json(Json::Items())); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }

    bool key(std::string& text) {
        const auto [place, added] = open_.back()->members.try_emplace(text);
        if (!added) return refuse("key ", in_quotes(text), " stands twice in one object");
        member_ = &place->second;
        return true;
    }

private:
    // Where the next value belongs: the member just named, the end of the innermost list, or the root.
    Json* place(Json json) {
        Json* target = &root_;
        if (!open_.empty()) {
            Json& outer = *open_.back();
            target = outer.kind == Json::Kind::list ? &outer.items.emplace_back() : member_;
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

class JsonWriter {
public:
    explicit JsonWriter(int indent) : indent_(indent) {}

    std::string take() { return std::move(text_); }

    void write(const Json& json, int depth = 0) {
        switch (json.kind) {
            case Json::Kind::null: text_ += "null"; return;
            case Json::Kind::flag: text_ += json.flag ? "true" : "false"; return;
            case Json::Kind::whole: text_ += std::to_string(json.whole); return;
            case Json::Kind::real: return put(json.real);
            case Json::Kind::text: text_ += json_quoted(json.text); return;
            case Json::Kind::list: return put(json.items, depth);
            case Json::Kind::object: return put(json.members, depth);
        }
    }

private:
    // The shortest text that reads back as the same double; a whole one keeps a ".0".
    void put(double number) {
        if (!is_finite(number)) {
            text_ += "null";
            return;
        }
        std::array<char, 32> buffer{};
        const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
        const std::string_view digits(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
        text_ += digits;
        if (digits.find_first_of(".e") == std::string_view::npos) text_ += ".0";
    }

    void put(const Json::Items& items, int depth) {
        list('[', ']', items, depth, [&](const Json& item) { write(item, depth + 1); });
    }

    void put(const Json::Members& members, int depth) {
        list('{', '}', members, depth, [&](const auto& member) {
            text_ += json_quoted(member.first);
            text_ += indent_ < 0 ? ":" : ": ";
            write(member.second, depth + 1);
        });
    }

    template <class List, class Write>
    void list(char open, char close, const List& items, int depth, Write&& write_item) {
        text_ += open;
        bool first = true;
        for (const auto& item : items) {
            if (!std::exchange(first, false)) text_ += ',';
            new_line(depth + 1);
            write_item(item);
        }
        if (!first) new_line(depth);
        text_ += close;
    }

    void new_line(int depth) {
        if (indent_ >= 0) (text_ += '\n').append(static_cast<std::size_t>(indent_ * depth), ' ');
    }

    int indent_;
    std::string text_;
};

template <class T>
std::string json_text(const T& json, int indent) {
    JsonWriter writer(indent);
    writer.write(json);
    return writer.take();
}

}  // namespace genmod::io::detail
