// Definitions of io/safetensors_header.hpp: the header's JSON goes straight into the table of tensors.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/dtype.hpp"
#include "genmod/io/impl/json_parser.hpp"
#include "genmod/io/read_file.hpp"
#include "genmod/io/safetensors_header.hpp"

namespace genmod::io::detail {

// Takes the events of the parser. The grammar is fixed: an object of objects, whose members are texts in __metadata__
// and else dtype, shape and data_offsets.
class HeaderBuilder : public SaxBase {
public:
    SafetensorsHeader take() { return std::move(header_); }

    bool null() { return unexpected("null"); }
    bool boolean(bool) { return unexpected("true or false"); }
    bool number_integer(std::int64_t) { return unexpected("a negative number"); }
    bool number_float(double) { return unexpected("a number that is not a whole one"); }

    bool number_unsigned(std::uint64_t number) {
        if (place_ != Place::shape && place_ != Place::offsets) return unexpected("a number");
        if (count_ == (place_ == Place::shape ? static_cast<std::size_t>(Shape::max_rank) : 2))
            return refuse(about(),
                          place_ == Place::shape ? "more than 8 extents" : "data_offsets: more than 2 numbers");
        (place_ == Place::shape ? extents_ : offsets_)[count_++] = number;
        return true;
    }

    bool string(std::string& text) {
        if (place_ == Place::metadata) {
            if (header_.metadata.size() == max_metadata) return refuse("__metadata__: too many entries");
            if (!header_.metadata.emplace(std::move(key_), std::move(text)).second)
                return refuse("__metadata__: a key stands twice");
            return true;
        }
        if (place_ != Place::entry || key_ != "dtype") return unexpected("text");
        const std::optional<Dtype> dtype = dtype_named(text);
        if (!dtype) return refuse(about(), "unknown dtype ", in_quotes(text));
        entry_.dtype = *dtype;
        return once(seen_dtype_);
    }

    bool start_object() {
        if (place_ == Place::start) {
            place_ = Place::root;
        } else if (place_ != Place::root) {
            return unexpected("an object");
        } else if (key_ == "__metadata__") {
            place_ = Place::metadata;
            return once(seen_metadata_);
        } else {
            place_ = Place::entry;
            entry_ = {};
            entry_.name = std::move(key_);
            seen_dtype_ = seen_shape_ = seen_offsets_ = false;
        }
        return true;
    }

    bool start_array() {
        count_ = 0;
        if (place_ == Place::entry && key_ == "shape") {
            place_ = Place::shape;
            return once(seen_shape_);
        }
        if (place_ == Place::entry && key_ == "data_offsets") {
            place_ = Place::offsets;
            return once(seen_offsets_);
        }
        return unexpected("a list");
    }

    bool end_array() {
        if (place_ == Place::shape) rank_ = count_;
        if (place_ == Place::offsets && count_ != 2) return refuse(about(), "data_offsets: expected 2 numbers");
        place_ = Place::entry;
        return true;
    }

    bool end_object() {
        const bool tensor = place_ == Place::entry;
        place_ = Place::root;  // after the last one the parser takes nothing but white space
        return !tensor || finish_entry();
    }

    bool key(std::string& text) {
        key_ = std::move(text);
        if (place_ == Place::entry && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets")
            return refuse(about(), "unknown key ", in_quotes(key_));
        return true;
    }

private:
    enum class Place { start, root, metadata, entry, shape, offsets };
    static constexpr std::size_t max_metadata = 100'000;

    std::string about() const { return message("tensor ", in_quotes(entry_.name), ": "); }

    bool unexpected(const char* found) {
        switch (place_) {
            case Place::start: return refuse("expected an object, found ", found);
            case Place::root: return refuse("key ", in_quotes(key_), ": expected an object, found ", found);
            case Place::metadata:
                return refuse("__metadata__: key ", in_quotes(key_), ": expected text, found ", found);
            case Place::entry: return refuse(about(), "key ", in_quotes(key_), " cannot be ", found);
            default: return refuse(about(), key_, ": expected whole numbers from 0 on, found ", found);
        }
    }

    bool once(bool& seen) {
        return std::exchange(seen, true) ? refuse("key ", in_quotes(key_), " stands twice") : true;
    }

    // Checks what is known without the other tensors: all three keys, and shape and type against the byte range.
    bool finish_entry() {
        if (!seen_dtype_ || !seen_shape_ || !seen_offsets_)
            return refuse(about(), "key '",
                          !seen_dtype_   ? "dtype"
                          : !seen_shape_ ? "shape"
                                         : "data_offsets",
                          "' is missing");
        // The product of the extents that are not zero bounds all other numbers, so that a zero hides no overflow.
        constexpr std::uint64_t limit = static_cast<std::uint64_t>(std::numeric_limits<Index>::max()) / 64;
        std::uint64_t product = 1;
        bool zero = false;
        std::array<Index, static_cast<std::size_t>(Shape::max_rank)> extents{};
        for (std::size_t axis = 0; axis < rank_; ++axis) {
            const std::uint64_t extent = extents_[axis];
            zero = zero || extent == 0;
            if (extent > limit / product) return refuse(about(), "shape: too many numbers to count");
            product *= std::max<std::uint64_t>(extent, 1);
            extents[axis] = static_cast<Index>(extent);
        }
        const std::uint64_t bits = (zero ? 0 : product) * static_cast<std::uint64_t>(bits_of(entry_.dtype));
        entry_.shape = Shape(extents.data(), static_cast<Index>(rank_));
        entry_.begin = offsets_[0];
        entry_.end = offsets_[1];
        if (entry_.end < entry_.begin)
            return refuse(about(), "data_offsets end at ", entry_.end, ", before they begin at ", entry_.begin);
        if (bits % 8 != 0 || entry_.end - entry_.begin != bits / 8)
            return refuse(about(), entry_.dtype, " ", entry_.shape, " takes ", bits / 8,
                          " bytes, its data_offsets span ", entry_.end - entry_.begin);
        header_.entries.push_back(std::move(entry_));
        return true;
    }

    SafetensorsHeader header_;
    Place place_ = Place::start;
    std::string key_;
    SafetensorsEntry entry_;
    bool seen_metadata_ = false, seen_dtype_ = false, seen_shape_ = false, seen_offsets_ = false;
    std::array<std::uint64_t, static_cast<std::size_t>(Shape::max_rank)> extents_{};
    std::array<std::uint64_t, static_cast<std::size_t>(Shape::max_rank)> offsets_{};
    std::size_t count_ = 0;
    std::size_t rank_ = 0;
};

// Whether the byte ranges lie side by side from 0 to data_bytes.
inline void check_layout(const SafetensorsHeader& header, std::string_view name, std::uint64_t data_bytes,
                         const SafetensorsOptions& options) {
    std::vector<const SafetensorsEntry*> order;
    order.reserve(header.entries.size());
    for (const SafetensorsEntry& entry : header.entries) order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](const SafetensorsEntry* a, const SafetensorsEntry* b) {
        return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
    });
    std::uint64_t next = 0;
    for (const SafetensorsEntry* entry : order) {
        if (entry->begin != next)
            fail(ErrorCode::bad_file, name, ": tensor ", in_quotes(entry->name), " begins at byte ", entry->begin,
                 " of the data, expected ", next, entry->begin > next ? " (a hole)" : " (an overlap)");
        next = entry->end;
    }
    if (next > data_bytes)
        fail(ErrorCode::bad_file, name, ": short by ", next - data_bytes, " bytes: the tensors take ", next,
             ", the file has ", data_bytes, " behind its header");
    if (next < data_bytes && !options.allow_trailing_bytes)
        fail(ErrorCode::bad_file, name, ": ", data_bytes - next, " bytes after the last tensor");
}

template <class Header>
Header parse_safetensors_header(std::string_view text, std::string_view name, std::uint64_t data_bytes,
                                const SafetensorsOptions& options) {
    if (text.empty() || text.front() != '{')
        fail(ErrorCode::bad_file, name, ": not a safetensors file: its header does not begin with '{'");
    HeaderBuilder builder;
    scan_json(text, name, builder);
    Header header = builder.take();
    auto& entries = header.entries;
    const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
    if (!std::is_sorted(entries.begin(), entries.end(), by_name)) std::sort(entries.begin(), entries.end(), by_name);
    for (std::size_t i = 1; i < entries.size(); ++i)
        if (entries[i].name == entries[i - 1].name)
            fail(ErrorCode::bad_file, name, ": tensor ", in_quotes(entries[i].name), " stands twice");
    check_layout(header, name, data_bytes, options);
    return header;
}

}  // namespace genmod::io::detail
