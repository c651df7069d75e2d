// The shape of a U-Net, in the words of diffusers' UNet2DModel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/json.hpp"

namespace genmod::diffusion {

// Names, meaning and defaults are those of diffusers' UNet2DModel (its config.json loads); absent values are its None.
struct UnetConfig {
    std::vector<Index> sample_size =
        {};  // of the training pictures: none, one side, or height and width; told, not used
    Index in_channels = 3;
    Index out_channels = 3;
    bool center_input_sample = false;  // the network sees 2 x - 1
    std::string time_embedding_type = "positional";
    std::optional<Index> time_embedding_dim = {};  // 4 * block_out_channels[0]
    double freq_shift = 0;                         // divisor of the frequencies' exponent: half - freq_shift
    bool flip_sin_to_cos = true;                   // cosines first
    std::vector<std::string> down_block_types = {"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D",
                                                 "AttnDownBlock2D"};
    std::optional<std::string> mid_block_type = "UNetMidBlock2D";
    std::vector<std::string> up_block_types = {"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"};
    std::vector<Index> block_out_channels = {224, 448, 672, 896};
    Index layers_per_block = 2;
    double mid_block_scale_factor = 1;
    Index downsample_padding = 1;  // 0: one zero at the bottom and at the right instead
    std::string downsample_type = "conv";
    std::string upsample_type = "conv";
    double dropout = 0;
    std::string act_fn = "silu";
    std::optional<Index> attention_head_dim = 8;  // absent: one head
    Index norm_num_groups = 32;
    std::optional<Index> attn_norm_num_groups = {};  // of the attention in the middle
    double norm_eps = 1e-5;
    std::string resnet_time_scale_shift = "default";   // or "scale_shift"
    bool add_attention = true;                         // in the middle
    std::optional<std::string> class_embed_type = {};  // absent, or "timestep": labels are embedded like times
    std::optional<Index> num_class_embeds = {};
    std::optional<Index> num_train_timesteps = {};

    friend bool operator==(const UnetConfig&, const UnetConfig&) = default;

    // Calls f(name, self.field) for each field.
    static void visit(auto& self, auto&& f) {
        f("sample_size", self.sample_size);
        f("in_channels", self.in_channels);
        f("out_channels", self.out_channels);
        f("center_input_sample", self.center_input_sample);
        f("time_embedding_type", self.time_embedding_type);
        f("time_embedding_dim", self.time_embedding_dim);
        f("freq_shift", self.freq_shift);
        f("flip_sin_to_cos", self.flip_sin_to_cos);
        f("down_block_types", self.down_block_types);
        f("mid_block_type", self.mid_block_type);
        f("up_block_types", self.up_block_types);
        f("block_out_channels", self.block_out_channels);
        f("layers_per_block", self.layers_per_block);
        f("mid_block_scale_factor", self.mid_block_scale_factor);
        f("downsample_padding", self.downsample_padding);
        f("downsample_type", self.downsample_type);
        f("upsample_type", self.upsample_type);
        f("dropout", self.dropout);
        f("act_fn", self.act_fn);
        f("attention_head_dim", self.attention_head_dim);
        f("norm_num_groups", self.norm_num_groups);
        f("attn_norm_num_groups", self.attn_norm_num_groups);
        f("norm_eps", self.norm_eps);
        f("resnet_time_scale_shift", self.resnet_time_scale_shift);
        f("add_attention", self.add_attention);
        f("class_embed_type", self.class_embed_type);
        f("num_class_embeds", self.num_class_embeds);
        f("num_train_timesteps", self.num_train_timesteps);
    }
};

// The usual small U-Net in a few words.
struct SmallUnet {
    Index size = 28;
    Index channels = 1;
    Index width = 32;                      // channels of the first level
    std::vector<Index> mults = {1, 2, 4};  // times width: one level for each, each half the size of the one before
    Index layers = 2;                      // residual blocks of a level
    std::vector<Index> attention = {7};    // sizes of the levels that have attention
    Index classes = 0;                     // with one more row for "none", which is number `classes`
    double dropout = 0;
    bool learned_variance = false;  // twice the channels out
};

// Heads are as wide as divides `width`, up to 32 numbers; norms have 8 groups.
inline UnetConfig small_unet(const SmallUnet& small) {
    Index head = std::min<Index>(32, small.width);
    while (head > 1 && small.width % head != 0) --head;
    UnetConfig config{.sample_size = {small.size},
                      .in_channels = small.channels,
                      .out_channels = small.learned_variance ? 2 * small.channels : small.channels,
                      .down_block_types = {},
                      .up_block_types = {},
                      .block_out_channels = {},
                      .layers_per_block = small.layers,
                      .dropout = small.dropout,
                      .attention_head_dim = std::max<Index>(1, head),
                      .norm_num_groups = 8};
    Index size = small.size;
    for (const Index mult : small.mults) {
        const auto& sizes = small.attention;
        const bool attends = std::find(sizes.begin(), sizes.end(), size) != sizes.end();
        config.block_out_channels.push_back(mult * small.width);
        config.down_block_types.push_back(attends ? "AttnDownBlock2D" : "DownBlock2D");
        config.up_block_types.insert(config.up_block_types.begin(), attends ? "AttnUpBlock2D" : "UpBlock2D");
        size /= 2;
    }
    if (small.classes > 0) config.num_class_embeds = small.classes + 1;
    return config;
}

namespace detail {

inline void check_name(const char* field, const std::string& value, std::initializer_list<const char*> known) {
    std::string list;
    for (const char* name : known) {
        if (value == name) return;
        list += std::string(list.empty() ? "" : ", ") + name;
    }
    fail(ErrorCode::argument, "U-Net: ", field, " \"", value, "\" is not among ", list);
}

}  // namespace detail

// Throws Error when the options do not make a network.
inline void check_config(const UnetConfig& config) {
    const std::size_t levels = config.block_out_channels.size();
    check(levels >= 1 && levels <= 16 && config.down_block_types.size() == levels &&
              config.up_block_types.size() == levels,
          "U-Net: ", levels, " block_out_channels, ", config.down_block_types.size(), " down_block_types and ",
          config.up_block_types.size(), " up_block_types do not fit");
    for (const auto& type : config.down_block_types)
        detail::check_name("down block type", type, {"DownBlock2D", "AttnDownBlock2D"});
    for (const auto& type : config.up_block_types)
        detail::check_name("up block type", type, {"UpBlock2D", "AttnUpBlock2D"});
    if (config.mid_block_type) detail::check_name("mid block type", *config.mid_block_type, {"UNetMidBlock2D"});
    if (config.class_embed_type) detail::check_name("class_embed_type", *config.class_embed_type, {"timestep"});
    detail::check_name("time_embedding_type", config.time_embedding_type, {"positional"});
    detail::check_name("downsample_type", config.downsample_type, {"conv"});
    detail::check_name("upsample_type", config.upsample_type, {"conv"});
    detail::check_name("act_fn", config.act_fn, {"silu", "swish"});
    detail::check_name("resnet_time_scale_shift", config.resnet_time_scale_shift, {"default", "scale_shift"});
    check(config.in_channels >= 1 && config.out_channels >= 1 && config.layers_per_block >= 1 &&
              config.norm_num_groups >= 1 && config.num_class_embeds.value_or(1) >= 1 &&
              config.time_embedding_dim.value_or(1) >= 1,
          "U-Net: channels, layers, groups and classes are at least 1");
    check(config.downsample_padding == 0 || config.downsample_padding == 1, "U-Net: downsample_padding ",
          config.downsample_padding, " is not 0 or 1");
    check(config.dropout >= 0 && config.dropout < 1, "U-Net: dropout ", config.dropout, " is not in [0, 1)");
    check(config.mid_block_scale_factor > 0 && config.norm_eps > 0, "U-Net: scale and eps are positive");
    for (const Index channels : config.block_out_channels) {
        check(channels >= 1 && channels % config.norm_num_groups == 0, "U-Net: ", channels,
              " channels do not fall into ", config.norm_num_groups, " groups");
        const Index head = config.attention_head_dim.value_or(channels);
        check(head >= 1, "U-Net: attention_head_dim ", head, " is not positive");
    }
}

// What a config.json says, and the keys in it that mean nothing here (those that begin with _ aside).
struct UnetConfigFile {
    UnetConfig config;
    std::vector<std::string> ignored;
};

namespace detail {

inline void read_field(const io::Config& file, const char* key, Index& value) { value = file.integer(key, value); }
inline void read_field(const io::Config& file, const char* key, bool& value) { value = file.flag(key, value); }
inline void read_field(const io::Config& file, const char* key, double& value) { value = file.number(key, value); }
inline void read_field(const io::Config& file, const char* key, std::string& value) { value = file.text(key, value); }
inline void read_field(const io::Config& file, const char* key, std::vector<std::string>& value) {
    if (file.has(key)) value = file.texts(key);
}
inline void read_field(const io::Config& file, const char* key, std::vector<Index>& value) {
    if (!file.has(key)) return;
    const bool list = file.find(key)->kind == io::Json::Kind::list;
    value = list ? file.integers(key) : std::vector<Index>{file.integer(key)};
}
template <class Value>
void read_field(const io::Config& file, const char* key, std::optional<Value>& value) {
    if (file.find(key) == nullptr) return;
    value.reset();
    if (!file.has(key)) return;
    value.emplace();
    read_field(file, key, *value);
}

template <class Value>
io::Json to_json(const Value& value) {
    return io::Json(value);
}
template <class Value>
io::Json to_json(const std::vector<Value>& values) {
    io::Json::Items items;
    for (const auto& value : values) items.push_back(to_json(value));
    return items;
}
template <class Value>
io::Json to_json(const std::optional<Value>& value) {
    return value ? to_json(*value) : io::Json();
}

}  // namespace detail

// Reads a config.json of diffusers' UNet2DModel; missing keys keep their defaults. Throws Error(bad_file) for a value
// of the wrong kind, Error(argument) for one that is not supported.
inline UnetConfigFile read_unet_config(const io::Config& file) {
    UnetConfigFile result;
    std::set<std::string, std::less<>> known;
    UnetConfig::visit(result.config, [&](const char* key, auto& value) {
        known.insert(key);
        detail::read_field(file, key, value);
    });
    for (const auto& [key, value] : file.members())
        if (!key.starts_with('_') && !known.contains(key)) result.ignored.push_back(key);
    check_config(result.config);
    return result;
}

// The config.json that diffusers' UNet2DModel.from_pretrained reads.
inline io::Json to_json(const UnetConfig& config) {
    io::Json::Members members{{"_class_name", "UNet2DModel"}};
    UnetConfig::visit(config, [&](const char* key, const auto& value) { members[key] = detail::to_json(value); });
    io::Json& size = members["sample_size"];
    if (config.sample_size.empty()) size = nullptr;
    if (config.sample_size.size() == 1) size = config.sample_size[0];
    return members;
}

}  // namespace genmod::diffusion
