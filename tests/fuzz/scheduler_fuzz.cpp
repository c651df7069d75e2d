// Any bytes as a scheduler configuration: only genmod::Error may leave, and what is accepted gives levels of finite
// numbers and survives being written and read again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/scheduler_config_file.hpp"
#include "genmod/diffusion/scheduler_levels.hpp"
#include "genmod/io/json.hpp"

using namespace genmod;
using namespace genmod::diffusion;

namespace {

SchedulerConfigFile read(std::string_view text) {
    return read_scheduler_config(io::Config(io::parse_json(diffusion::detail::quote_python_numbers(text), "fuzz")));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    SchedulerConfig config;
    try {
        config = read(text).config;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::bad_file) __builtin_trap();
        return 0;
    }
    const std::string written = io::to_text(to_json(config));
    if (io::to_text(to_json(read(written).config)) != written) __builtin_trap();
    if (config.schedule.num_train_timesteps > 10000) return 0;  // for speed
    try {
        for (const LevelPair& pair : scheduler_levels(config, {.steps = 5, .mu = 0.5}).steps)
            for (const NoiseLevel& level : {pair.from, pair.to})
                if (!is_finite(level.alpha) || !is_finite(level.sigma) || !is_finite(level.t)) __builtin_trap();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::argument) __builtin_trap();
    }
    return 0;
}
