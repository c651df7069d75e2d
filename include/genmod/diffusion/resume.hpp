// Sampling runs that can be put aside and go on later, bit for bit.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/crc32.hpp"

namespace genmod::diffusion {

// A run at a whole step: all that going on needs, beside the network, the sampler and the levels. A sampler's State and
// a noise source name their parts in `static void visit(auto& self, auto&& f)`, which calls f(name, part); parts are
//   Tensors of the shape of x, or empty;
//   double, bool, whole numbers and enumerators;
//   NoiseLevel, and structs with a visit() of their own;
//   std::vectors of all these (but of bool).
template <class T, class Sampler, class Source = SeededNoise>
struct SamplingRun {
    Tensor<T> x;     // of step `next`
    Index next = 0;  // the step to go on with
    Source noise;
    typename Sampler::template State<T> state = {};

    // All but x.
    static void visit(auto& self, auto&& f) {
        f("next", self.next);
        f("noise", self.noise);
        f("state", self.state);
    }
};

// The run that sample() would do, before its first step; with noise of one's own, or that of the options' seeds.
template <class T, class Sampler, StartNoise Source>
SamplingRun<T, Sampler, Source> begin_run(const Sampler& /*sampler*/, const Levels& levels,
                                          const SampleOptions<T>& options, Source noise) {
    Tensor<T> x = detail::start(levels, options, noise);
    return {.x = std::move(x), .next = options.first, .noise = std::move(noise)};
}
template <class T, class Sampler>
SamplingRun<T, Sampler> begin_run(const Sampler& sampler, const Levels& levels, const SampleOptions<T>& options) {
    const Shape shape = options.start.empty() ? options.shape : options.start.shape();
    check(shape.rank() >= 2, "sampling: expected a batch of pictures, found shape ", shape);
    return begin_run(sampler, levels, options, SeededNoise(detail::seeds(options, shape.dim(0))));
}

// Goes on with a run to its end, or to where the callback or a stop request ends it. When the callback sees it, and
// after Error(stopped), `run` is at a whole step and can be saved; after other errors it may be in the middle of one.
template <class T, class Sampler, class Source, class Predict, class Callback = detail::NoCallback>
Tensor<T> sample(const Predict& predict, const Sampler& sampler, const Levels& levels,
                 SamplingRun<T, Sampler, Source>& run, Callback&& callback = {}) {
    const auto keep = [&](SampleStep<T>& step) {
        run.next = step.step;
        run.x = step.x;
        if (!detail::report(callback, step)) step.stop = true;
        run.x = step.x;
    };
    return run_sampler(predict, sampler, levels, run.x, run.noise, run.state, run.next, keep);
}

namespace detail {

// What a run's file holds: tensors by name, all numbers in one list, and the names of all parts, in order.
struct RunFile {
    io::Checkpoint checkpoint = {};
    Shape shape = {};  // of every tensor
    std::vector<std::uint64_t> numbers = {};
    std::size_t next = 0;  // the number to be read
    std::string names = {};

    std::uint64_t number(const std::string& name) {
        if (next == numbers.size()) fail(ErrorCode::bad_file, "sampling run: the file ends before '", name, "'");
        return numbers[next++];
    }
};

// Puts parts into a file when they are const, and gets them from it when they are not.
struct RunParts {
    RunFile& file;
    std::string prefix = {};

    template <class Part>
    void operator()(std::string_view name, Part& part) const {
        const std::string key = prefix.empty() ? std::string(name) : prefix + "." + std::string(name);
        file.names += key + ' ';
        walk(key, part);
    }

private:
    template <class Part>
    void walk(const std::string& key, Part& part) const {
        using Kind = std::remove_const_t<Part>;
        const RunParts below{file, key};
        if constexpr (std::same_as<Kind, double>) {
            auto bits = std::bit_cast<std::uint64_t>(part);
            number(key, bits, std::is_const<Part>());
            if constexpr (!std::is_const_v<Part>) part = std::bit_cast<double>(bits);
        } else if constexpr (std::integral<Kind> || std::is_enum_v<Kind>) {
            auto bits = static_cast<std::uint64_t>(part);
            number(key, bits, std::is_const<Part>());
            if constexpr (!std::is_const_v<Part>) part = static_cast<Kind>(bits);
        } else if constexpr (std::same_as<Kind, NoiseLevel>) {
            below("alpha", part.alpha);
            below("sigma", part.sigma);
            below("t", part.t);
        } else {
            Kind::visit(part, below);
        }
    }

    void number(const std::string& key, std::uint64_t& bits, bool saving) const {
        if (saving)
            file.numbers.push_back(bits);
        else
            bits = file.number(key);
    }

    template <class T>
    void walk(const std::string& key, const Tensor<T>& part) const {
        file.numbers.push_back(part.empty() ? 0 : 1);
        if (part.empty()) return;
        check(part.shape() == file.shape, "sampling run: ", key, " has shape ", part.shape(), " and x ", file.shape);
        file.checkpoint.put(key, part);
    }
    template <class T>
    void walk(const std::string& key, Tensor<T>& part) const {
        part = {};
        if (file.number(key) != 0) part = file.checkpoint.get<T>(key, file.shape);
    }

    template <class Entry>
    void walk(const std::string& key, const std::vector<Entry>& part) const {
        file.numbers.push_back(part.size());
        for (std::size_t k = 0; k < part.size(); ++k) walk(key + "." + std::to_string(k), part[k]);
    }
    template <class Entry>
    void walk(const std::string& key, std::vector<Entry>& part) const {
        const std::uint64_t count = file.number(key);
        if (count > file.numbers.size()) fail(ErrorCode::bad_file, "sampling run: ", count, " entries of '", key, "'");
        part.assign(static_cast<std::size_t>(count), Entry{});
        for (std::size_t k = 0; k < part.size(); ++k) walk(key + "." + std::to_string(k), part[k]);
    }
};

// A checksum of all numbers of the levels.
inline std::uint32_t checksum(const Levels& levels) {
    std::uint32_t sum = 0;
    const auto add = [&sum](const NoiseLevel& level) {
        const double numbers[]{level.alpha, level.sigma, level.t};
        sum = io::crc32({reinterpret_cast<const std::uint8_t*>(numbers), sizeof numbers}, sum);
    };
    for (const LevelPair& pair : levels.steps) {
        add(pair.from);
        add(pair.to);
        for (const NoiseLevel& level : pair.inner) add(level);
    }
    return sum;
}

}  // namespace detail

// Writes a run to a safetensors file, in one go: should the process end, the old file or the new one is there. The
// sampler's options and the network are not in it. Throws Error(io).
template <class T, class Sampler, class Source>
void save_run(const std::string& path, const SamplingRun<T, Sampler, Source>& run, const Levels& levels) {
    detail::RunFile file{.shape = run.x.shape()};
    SamplingRun<T, Sampler, Source>::visit(run, detail::RunParts{file});
    file.checkpoint.put("x", run.x);
    file.checkpoint.put("numbers",
                        Tensor<std::uint64_t>::from({static_cast<Index>(file.numbers.size())}, file.numbers));
    file.checkpoint.put_text("parts", file.names);
    file.checkpoint.put_number("levels", detail::checksum(levels));
    file.checkpoint.save(path);
}

// Reads a run of that sampler on those levels. Throws Error(io), and Error(bad_file) when the file is damaged, no run,
// or the run of another kind of sampler or noise, of other levels or of another type of numbers.
template <class T, class Source = SeededNoise, class Sampler>
SamplingRun<T, Sampler, Source> load_run(const std::string& path, const Sampler& /*sampler*/, const Levels& levels,
                                         Source noise = Source(std::vector<std::uint64_t>{})) {
    SamplingRun<T, Sampler, Source> run{.x = {}, .noise = std::move(noise)};
    detail::RunFile file{.checkpoint = io::Checkpoint::load(path)};
    if (file.checkpoint.number("levels") != detail::checksum(levels))
        fail(ErrorCode::bad_file, path, ": a sampling run on other noise levels");
    file.shape = file.checkpoint.shape("x");
    run.x = file.checkpoint.template get<T>("x", file.shape);
    const auto numbers = file.checkpoint.template get<std::uint64_t>("numbers", file.checkpoint.shape("numbers"));
    file.numbers.assign(numbers.begin(), numbers.end());
    SamplingRun<T, Sampler, Source>::visit(run, detail::RunParts{file});
    if (file.names != file.checkpoint.text("parts") || file.next != file.numbers.size())
        fail(ErrorCode::bad_file, path, ": a sampling run of another sampler: it holds ",
             file.checkpoint.text("parts"));
    file.checkpoint.finish();
    if (run.next < 0 || run.next > static_cast<Index>(levels.steps.size()))
        fail(ErrorCode::bad_file, path, ": goes on with step ", run.next, " of ", levels.steps.size());
    return run;
}

}  // namespace genmod::diffusion
