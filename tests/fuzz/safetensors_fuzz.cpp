// Any bytes as a safetensors file: only genmod::Error may leave, and memory stays near the file's size.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/safetensors.hpp"

using namespace genmod;

namespace {

template <class F>
bool runs(F&& call) {
    try {
        call();
        return true;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::bad_file) __builtin_trap();
        return false;
    }
}

// What must hold of an accepted header.
void look(const io::Safetensors& file, std::size_t size) {
    std::uint64_t bytes = 0;
    for (const io::SafetensorsEntry& entry : file.entries()) {
        bytes += entry.end - entry.begin;
        if (static_cast<std::uint64_t>(entry.shape.size()) * static_cast<std::uint64_t>(bits_of(entry.dtype)) !=
            8 * (entry.end - entry.begin))
            __builtin_trap();
        runs([&] { file.read<float>(entry.name); });
        runs([&] { file.read<std::uint8_t>(entry.name); });
        runs([&] { file.read<std::int64_t>(entry.name); });
    }
    if (bytes > size) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const io::Bytes bytes(data, data + size);
    runs([&] { look(io::Safetensors(bytes, "fuzz"), size); });
    runs([&] { look(io::Safetensors(bytes, "fuzz", {.allow_trailing_bytes = true}), size); });
    runs([&] {
        io::Checkpoint checkpoint(io::Safetensors(bytes, "fuzz"));
        for (const auto& name : checkpoint.names()) runs([&] { checkpoint.get<float>(name, {2, 3}); });
        runs([&] { checkpoint.number("step"); });
        checkpoint.finish();
    });
    return 0;
}

extern "C" __attribute__((weak)) std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t limit);

// Mutates the header or the data and keeps the length before the header right: else nearly all inputs die there.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t limit, unsigned seed) {
    std::uint64_t length = 0;
    if (size >= 8) std::memcpy(&length, data, 8);
    if (size < 8 || limit < 16 || length > size - 8 || seed % 16 == 0) return LLVMFuzzerMutate(data, size, limit);
    std::vector<std::uint8_t> header(data + 8, data + 8 + length), rest(data + 8 + length, data + size);
    auto& part = seed % 4 == 1 ? rest : header;
    const std::size_t before = part.size(), room = limit - (size - before);
    part.resize(room);
    part.resize(LLVMFuzzerMutate(part.data(), std::min(before, room), room));
    length = header.size();
    std::memcpy(data, &length, 8);
    std::copy(header.begin(), header.end(), data + 8);
    std::copy(rest.begin(), rest.end(), data + 8 + header.size());
    return 8 + header.size() + rest.size();
}
