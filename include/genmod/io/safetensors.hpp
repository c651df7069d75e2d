// Reading safetensors files (https://github.com/huggingface/safetensors), tensor by tensor.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/crc32.hpp"
#include "genmod/io/dtype.hpp"
#include "genmod/io/read_file.hpp"
#include "genmod/io/safetensors_header.hpp"

namespace genmod::io {

// A tensor that a model wants from a file.
struct WantedTensor {
    std::string name;
    Shape shape;
};

// An open safetensors file (or its bytes in memory). The header is read and checked in full at once, the numbers only
// when asked for; checksums, where genmod wrote some, are compared then. Const calls may run in several threads.
class Safetensors {
public:
    // Throws Error(io) when the system refuses, Error(bad_file) for whatever breaks a rule of the format.
    explicit Safetensors(const std::string& path, const SafetensorsOptions& options = {})
        : name_(path), file_(std::in_place, path), size_(file_->size()) {
        read_header(options);
    }

    // `name` stands for the file in messages.
    Safetensors(Bytes bytes, std::string name, const SafetensorsOptions& options = {})
        : name_(std::move(name)), bytes_(std::move(bytes)), size_(bytes_.size()) {
        read_header(options);
    }

    // The path or name given.
    const std::string& name() const { return name_; }

    // All tensors, sorted by name.
    const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }
    const Metadata& metadata() const { return header_.metadata; }

    // How many numbers all tensors hold: a model whose configuration asks for more is not in this file.
    Index numbers() const {
        Index sum = 0;
        for (const SafetensorsEntry& entry : entries()) sum += entry.shape.size();
        return sum;
    }

    std::vector<std::string> names() const {
        std::vector<std::string> result;
        for (const SafetensorsEntry& entry : entries()) result.push_back(entry.name);
        return result;
    }

    bool has(std::string_view name) const { return find(name) != nullptr; }

    // Throws Error(bad_file) when there is no such tensor.
    const SafetensorsEntry& entry(std::string_view name) const {
        const SafetensorsEntry* entry = find(name);
        if (entry == nullptr)
            fail(ErrorCode::bad_file, name_, ": no tensor ", detail::in_quotes(name), " among ", entries().size(), ": ",
                 detail::some_of(names()));
        return *entry;
    }

    // The numbers of a tensor. T float, double, bf16 or f16: from any float or whole-number type, rounding to nearest.
    // T a whole-number type: from whole numbers that fit. Throws Error(bad_file) otherwise, or when a checksum differs.
    template <class T>
    Tensor<T> read(std::string_view name) const {
        const SafetensorsEntry& found = entry(name);
        Tensor<T> result(found.shape);
        read_numbers(found, result.data());
        return result;
    }

    // The same; throws Error(bad_file) when its shape is another one.
    template <class T>
    Tensor<T> read(std::string_view name, const Shape& shape) const {
        const SafetensorsEntry& found = entry(name);
        if (!(found.shape == shape))
            fail(ErrorCode::bad_file, name_, ": tensor ", detail::in_quotes(name), ": expected shape ", shape,
                 ", found ", found.shape);
        return read<T>(name);
    }

    // Throws one Error(bad_file) that counts and names what is missing, misshapen or, with `exact`, left over.
    void expect(const std::vector<WantedTensor>& wanted, bool exact = true) const {
        std::vector<std::string> missing, misshapen, names, left_over;
        for (const auto& [name, shape] : wanted) {
            const SafetensorsEntry* found = find(name);
            names.push_back(name);
            if (found == nullptr)
                missing.push_back(name);
            else if (!(found->shape == shape))
                misshapen.push_back(message(name, ": expected ", shape, ", found ", found->shape));
        }
        std::sort(names.begin(), names.end());
        if (exact)
            for (const SafetensorsEntry& found : entries())
                if (!std::binary_search(names.begin(), names.end(), found.name)) left_over.push_back(found.name);
        std::string text;
        const auto tell = [&](const std::vector<std::string>& list, const char* what) {
            if (!list.empty()) text += message("; ", list.size(), " ", what, ": ", detail::some_of(list));
        };
        tell(missing, "missing");
        tell(misshapen, "of another shape");
        tell(left_over, "left over");
        if (!text.empty())
            fail(ErrorCode::bad_file, name_, ": has ", entries().size(), " tensors, expected ", wanted.size(), text);
    }

private:
    void read_header(const SafetensorsOptions& options) {
        if (size_ < 8) fail(ErrorCode::bad_file, name_, ": ", size_, " bytes are too few for a safetensors file");
        std::uint8_t length_bytes[8];
        read_bytes(0, length_bytes);
        const auto length = detail::load<std::uint64_t>(length_bytes, 0);
        const std::uint64_t limit = std::min<std::uint64_t>(options.max_header, 100'000'000);
        if (length > limit)
            fail(ErrorCode::bad_file, name_, ": a header of ", length, " bytes is over the limit of ", limit,
                 "; is this a safetensors file?");
        if (length > size_ - 8)
            fail(ErrorCode::bad_file, name_, ": short by ", length - (size_ - 8), " bytes: the header alone takes ",
                 length);
        std::string text(static_cast<std::size_t>(length), '\0');
        read_bytes(8, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
        data_ = 8 + length;
        header_ = detail::parse_safetensors_header<SafetensorsHeader>(text, name_, size_ - data_, options);
        read_checksums();
    }

    void read_checksums() {
        const auto found = metadata().find(detail::checksum_key);
        if (found == metadata().end()) return;
        const std::string& digits = found->second;
        const bool fits = digits.size() == 8 * (entries().size() + 1) &&
                          digits.find_first_not_of("0123456789abcdef") == std::string::npos;
        if (fits)
            for (std::size_t i = 8; i < digits.size(); i += 8)
                checksums_.push_back(static_cast<std::uint32_t>(std::stoul(digits.substr(i, 8), nullptr, 16)));
        if (!fits || digits.substr(0, 8) != detail::hex8(detail::header_checksum(header_, checksums_)))
            fail(ErrorCode::bad_file, name_, ": header does not match its checksum (", detail::checksum_key, ")");
    }

    const SafetensorsEntry* find(std::string_view name) const {
        const auto place =
            std::lower_bound(entries().begin(), entries().end(), name,
                             [](const SafetensorsEntry& entry, std::string_view key) { return entry.name < key; });
        return place != entries().end() && place->name == name ? &*place : nullptr;
    }

    void read_bytes(std::uint64_t offset, std::span<std::uint8_t> out) const {
        if (file_)
            file_->read_at(offset, out);
        else
            std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    }

    template <class T>
    void read_numbers(const SafetensorsEntry& entry, T* out) const {
        std::uint32_t crc = 0;
        const bool readable = detail::with_type(entry.dtype, [&](auto type) {
            using From = decltype(type);
            if constexpr (std::same_as<T, From> && !std::same_as<T, bool>) {
                const std::span bytes(reinterpret_cast<std::uint8_t*>(out), entry.end - entry.begin);
                read_bytes(data_ + entry.begin, bytes);
                if (!checksums_.empty()) crc = crc32(bytes);
            } else {
                crc = read_converted<From>(entry, out);
            }
        });
        if (!readable)
            fail(ErrorCode::bad_file, name_, ": tensor ", detail::in_quotes(entry.name), ": dtype ", entry.dtype,
                 " is not supported");
        if (!checksums_.empty() && crc != checksums_[static_cast<std::size_t>(&entry - entries().data())])
            fail(ErrorCode::bad_file, name_, ": tensor ", detail::in_quotes(entry.name),
                 " does not match its checksum");
    }

    // Through a buffer, piece by piece. Returns the checksum of the bytes.
    template <class From, class T>
    std::uint32_t read_converted(const SafetensorsEntry& entry, T* out) const {
        constexpr std::size_t piece = (std::size_t{1} << 18) / sizeof(From);
        const auto count = static_cast<std::size_t>(entry.shape.size());
        Bytes buffer(std::min(count, piece) * sizeof(From));
        std::uint32_t crc = 0;
        for (std::size_t first = 0; first < count; first += piece) {
            const std::size_t numbers = std::min(piece, count - first);
            const std::span bytes(buffer.data(), numbers * sizeof(From));
            read_bytes(data_ + entry.begin + first * sizeof(From), bytes);
            if (!checksums_.empty()) crc = crc32(bytes, crc);
            for (std::size_t i = 0; i < numbers; ++i)
                if (!detail::convert(detail::load<From>(buffer.data(), i), out[first + i]))
                    fail(ErrorCode::bad_file, name_, ": tensor ", detail::in_quotes(entry.name), ": ", entry.dtype,
                         " does not fit the whole-number type ", dtype_of<T>(), " asked for");
        }
        return crc;
    }

    std::string name_;
    std::optional<ReadFile> file_;
    Bytes bytes_;
    std::uint64_t size_ = 0;  // of the file
    std::uint64_t data_ = 0;  // where the data begin
    SafetensorsHeader header_;
    std::vector<std::uint32_t> checksums_;  // one for each entry, or none
};

}  // namespace genmod::io
