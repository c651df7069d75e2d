// Checkpoints of a training run: tensors, counters and texts in one safetensors file that resumes it exactly.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/io/dtype.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/io/safetensors_header.hpp"
#include "genmod/io/safetensors_writer.hpp"

namespace genmod::io {

// To save: put what the run needs, then save(). To resume: load(), get everything back, then finish().
//
//     Checkpoint checkpoint;                              auto checkpoint = Checkpoint::load("run.safetensors");
//     checkpoint.put("weight", weight);                   weight = checkpoint.get<float>("weight", weight.shape());
//     checkpoint.put_number("step", step);                step = checkpoint.number("step");
//     checkpoint.save("run.safetensors");                 checkpoint.finish();
//
// The file is replaced in one go, carries checksums, has the same bytes for the same state, and opens in any program
// that reads safetensors; numbers and texts are in its metadata.
class Checkpoint {
public:
    Checkpoint() = default;

    // Throws Error(io), and Error(bad_file) when the file is damaged or no checkpoint. Tensors are read when asked for.
    static Checkpoint load(const std::string& path) { return Checkpoint(Safetensors(path)); }

    // The same from an open file.
    explicit Checkpoint(Safetensors file) {
        const auto format = file.metadata().find("format");
        if (format == file.metadata().end() || format->second != format_name)
            fail(ErrorCode::bad_file, file.name(), ": not a checkpoint of genmod: metadata 'format' is ",
                 format == file.metadata().end() ? "missing" : detail::in_quotes(format->second), ", expected '",
                 format_name, "'");
        if (file.metadata().count(detail::checksum_key) == 0)
            fail(ErrorCode::bad_file, file.name(), ": the checksums of the checkpoint are missing");
        file_ = std::make_shared<const Safetensors>(std::move(file));
    }

    // Keeps a tensor (sharing its buffer until save()), a number or a text. Throws Error(argument) for a name twice.
    template <class T>
    void put(const std::string& name, const Tensor<T>& tensor) {
        writer_.add(name, tensor);
    }
    void put_number(const std::string& name, std::uint64_t number) {
        put_entry("number/" + name, std::to_string(number));
    }
    void put_text(const std::string& name, const std::string& text) { put_entry("text/" + name, text); }

    // Throws Error(io); then an old file is still there.
    void save(const std::string& path) const { finished_writer().save(path); }
    Bytes to_bytes() const { return finished_writer().to_bytes(); }

    // The names of all tensors of a loaded checkpoint, sorted.
    std::vector<std::string> names() const { return file().names(); }
    bool has(std::string_view name) const { return file().has(name); }
    bool has_number(std::string_view name) const { return find("number/", name) != nullptr; }
    bool has_text(std::string_view name) const { return find("text/", name) != nullptr; }

    // The shape of a tensor of a loaded checkpoint. Throws Error(bad_file) when it is missing.
    const Shape& shape(std::string_view name) const { return file().entry(name).shape; }

    // Throws one Error(bad_file) that counts and names the tensors that are missing, misshapen or left over.
    void expect(const std::vector<WantedTensor>& wanted) const { file().expect(wanted); }

    // A tensor, number or text of a loaded checkpoint. Throws Error(bad_file) when it is missing, of another shape or
    // type, or damaged.
    template <class T>
    Tensor<T> get(const std::string& name, const Shape& shape) {
        const Dtype found = file().entry(name).dtype;
        if (found != dtype_of<T>())
            fail(ErrorCode::bad_file, file().name(), ": tensor ", detail::in_quotes(name), ": expected ", dtype_of<T>(),
                 ", found ", found);
        Tensor<T> tensor = file().template read<T>(name, shape);
        taken_.insert(name);
        return tensor;
    }
    std::uint64_t number(std::string_view name) const {
        const std::string& digits = entry("number/", name);
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (error != std::errc() || end != digits.data() + digits.size())
            fail(ErrorCode::bad_file, file().name(), ": number '", name, "' is ", detail::in_quotes(digits));
        return value;
    }
    const std::string& text(std::string_view name) const { return entry("text/", name); }

    // Throws Error(bad_file) naming tensors that were never asked for: the file belongs to a larger or other model.
    void finish() const {
        std::vector<std::string> left_over;
        for (const SafetensorsEntry& entry : file().entries())
            if (taken_.count(entry.name) == 0) left_over.push_back(entry.name);
        if (!left_over.empty())
            fail(ErrorCode::bad_file, file().name(), ": ", left_over.size(), " of ", file().entries().size(),
                 " tensors left over: ", detail::some_of(left_over));
    }

private:
    static constexpr std::string_view format_name = "genmod checkpoint 1";

    void put_entry(const std::string& key, const std::string& value) {
        check(entries_.emplace(key, value).second, "Checkpoint: '", key, "' was put twice");
    }

    SafetensorsWriter finished_writer() const {
        SafetensorsWriter writer = writer_;
        writer.set_metadata("format", std::string(format_name));
        for (const auto& [key, value] : entries_) writer.set_metadata(key, value);
        writer.enable_checksums();
        return writer;
    }

    const Safetensors& file() const {
        check(file_ != nullptr, "Checkpoint: nothing was loaded");
        return *file_;
    }

    const std::string* find(const char* kind, std::string_view name) const {
        const auto found = file().metadata().find(message(kind, name));
        return found == file().metadata().end() ? nullptr : &found->second;
    }

    const std::string& entry(const char* kind, std::string_view name) const {
        const std::string* found = find(kind, name);
        if (found == nullptr) fail(ErrorCode::bad_file, file().name(), ": '", kind, name, "' is missing");
        return *found;
    }

    SafetensorsWriter writer_;
    Metadata entries_;
    std::shared_ptr<const Safetensors> file_;
    std::set<std::string, std::less<>> taken_;
};

}  // namespace genmod::io
