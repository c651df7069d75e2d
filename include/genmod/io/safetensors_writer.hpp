// Writing safetensors files: sorted, aligned, the same bytes for the same content, and complete or not at all.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/atomic_file.hpp"
#include "genmod/io/crc32.hpp"
#include "genmod/io/dtype.hpp"
#include "genmod/io/read_file.hpp"
#include "genmod/io/safetensors_header.hpp"
#include "genmod/io/utf8.hpp"

namespace genmod::io {

// Collects tensors (sharing their buffers, which must not change before the end) and writes them as one file.
class SafetensorsWriter {
public:
    // Adds a tensor, stored as `dtype`: numbers may become any float type, rounding to nearest, and whole numbers any
    // whole-number type they fit (else save() throws). Throws Error(argument) for a name that is taken or reserved.
    template <class T>
    void add(const std::string& name, const Tensor<T>& tensor, Dtype dtype = dtype_of<T>()) {
        check(name != "__metadata__", "safetensors: the name __metadata__ is reserved");
        check(name == valid_utf8(name), "safetensors: a tensor's name is not UTF-8");
        check(!tensor.empty(), "safetensors: tensor '", name, "' has no numbers");
        Pending pending;
        pending.dtype = dtype;
        pending.shape = tensor.shape();
        const bool writable = detail::with_type(dtype, [&](auto type) {
            pending.convert = [tensor, name, dtype](std::size_t first, std::size_t count, std::uint8_t* out) {
                convert_piece<decltype(type)>(tensor, name, dtype, first, count, out);
            };
        });
        check(writable, "safetensors: tensor '", name, "': cannot write dtype ", dtype);
        check(tensors_.emplace(name, std::move(pending)).second, "safetensors: two tensors are called '", name, "'");
    }

    // Adds or replaces an entry of the metadata. Texts should be UTF-8: other bytes become U+FFFD.
    void set_metadata(const std::string& key, const std::string& value) {
        check(key != detail::checksum_key, "safetensors: the metadata key ", key, " is reserved");
        metadata_[valid_utf8(key)] = valid_utf8(value);
    }

    // Stores a checksum for each tensor and for the header, which Safetensors compares when it reads.
    void enable_checksums() { checksums_ = true; }

    // Replaces or creates the file in one go. Throws Error(io); then an old file is still there.
    void save(const std::string& path) const {
        AtomicFile file(path);
        write([&](std::span<const std::uint8_t> bytes) { file.write(bytes); });
        file.commit();
    }

    // The file's bytes.
    Bytes to_bytes() const {
        Bytes result;
        write([&](std::span<const std::uint8_t> bytes) { result.insert(result.end(), bytes.begin(), bytes.end()); });
        return result;
    }

private:
    struct Pending {
        Dtype dtype = Dtype::f32;
        Shape shape;
        // Writes numbers first..first+count-1 as bytes.
        std::function<void(std::size_t first, std::size_t count, std::uint8_t* out)> convert;
    };
    using Item = std::pair<const std::string, Pending>;

    template <class To, class T>
    static void convert_piece(const Tensor<T>& tensor, const std::string& name, Dtype dtype, std::size_t first,
                              std::size_t count, std::uint8_t* out) {
        const T* from = tensor.data() + first;
        for (std::size_t i = 0; i < count; ++i) {
            To number{};
            check(detail::convert(from[i], number), "safetensors: tensor '", name, "' holds a number that ", dtype,
                  " cannot");
            std::memcpy(out + i * sizeof(To), &number, sizeof(To));
        }
    }

    static std::size_t item_size(const Item& item) { return static_cast<std::size_t>(bits_of(item.second.dtype)) / 8; }

    // Hands the bytes of a tensor to `sink`, piece by piece.
    template <class Sink>
    static void write_tensor(const Item& item, Sink&& sink) {
        constexpr std::size_t piece = std::size_t{1} << 16;
        const auto count = static_cast<std::size_t>(item.second.shape.size());
        Bytes buffer(std::min(count, piece) * item_size(item));
        for (std::size_t first = 0; first < count; first += piece) {
            const std::size_t numbers = std::min(piece, count - first);
            item.second.convert(first, numbers, buffer.data());
            sink(std::span<const std::uint8_t>(buffer.data(), numbers * item_size(item)));
        }
    }

    // By falling size of their numbers, then by name: every number lies at a multiple of its size.
    std::vector<const Item*> order() const {
        std::vector<const Item*> order;
        for (const std::size_t size : {8u, 4u, 2u, 1u})
            for (const Item& item : tensors_)
                if (item_size(item) == size) order.push_back(&item);
        return order;
    }

    Metadata metadata() const {
        Metadata metadata = metadata_;
        if (!checksums_) return metadata;
        SafetensorsHeader header{{}, metadata_};
        std::vector<std::uint32_t> sums;
        for (const Item& item : tensors_) {
            std::uint32_t crc = 0;
            write_tensor(item, [&](std::span<const std::uint8_t> bytes) { crc = crc32(bytes, crc); });
            header.entries.push_back({item.first, item.second.dtype, item.second.shape, 0, 0});
            sums.push_back(crc);
        }
        std::string digits = detail::hex8(detail::header_checksum(header, sums));
        for (const std::uint32_t crc : sums) digits += detail::hex8(crc);
        metadata.emplace(detail::checksum_key, digits);
        return metadata;
    }

    // The header's JSON, keys sorted.
    std::string header_text() const {
        Metadata members;  // sorted texts too
        std::uint64_t end = 0;
        for (const Item* item : order()) {
            const Pending& tensor = item->second;
            const std::uint64_t begin = end;
            end += static_cast<std::uint64_t>(tensor.shape.size()) * item_size(*item);
            std::string shape;
            for (Index axis = 0; axis < tensor.shape.rank(); ++axis)
                shape += message(axis == 0 ? "" : ",", tensor.shape.dim(axis));
            members[item->first] = message("{\"data_offsets\":[", begin, ",", end, "],\"dtype\":\"",
                                           to_string(tensor.dtype), "\",\"shape\":[", shape, "]}");
        }
        std::string texts;
        for (const auto& [key, value] : metadata())
            texts += message(texts.empty() ? "" : ",", detail::json_quoted(key), ":", detail::json_quoted(value));
        if (!texts.empty()) members["__metadata__"] = message("{", texts, "}");
        std::string result;
        for (const auto& [key, value] : members)
            result += message(result.empty() ? "{" : ",", detail::json_quoted(key), ":", value);
        return result + (result.empty() ? "{}" : "}");
    }

    template <class Sink>
    void write(Sink&& sink) const {
        std::string text = header_text();
        text.resize((text.size() + 7) / 8 * 8, ' ');
        check(text.size() <= 100'000'000, "safetensors: a header of ", text.size(),
              " bytes is over the format's limit");
        std::uint8_t length[8];
        for (std::size_t i = 0; i < 8; ++i)
            length[i] = static_cast<std::uint8_t>(std::uint64_t{text.size()} >> (8 * i));
        sink(std::span<const std::uint8_t>(length));
        sink(detail::bytes_of(text));
        for (const Item* item : order()) write_tensor(*item, sink);
    }

    std::map<std::string, Pending> tensors_;
    Metadata metadata_;
    bool checksums_ = false;
};

}  // namespace genmod::io
