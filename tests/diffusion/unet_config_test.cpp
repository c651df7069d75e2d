#include "genmod/diffusion/unet_config.hpp"

#include <string>
#include <vector>

#include "tests/support/catch.hpp"

namespace unet_config_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

UnetConfigFile read(const std::string& text) { return read_unet_config(io::Config(io::parse_json(text))); }

}  // namespace

TEST_CASE("a config of diffusers is read, with what it does not say at its default") {
    const auto file = read(R"({"_class_name": "UNet2DModel", "_diffusers_version": "0.36.0", "sample_size": 28,
        "in_channels": 1, "out_channels": 2, "block_out_channels": [8, 16], "attention_head_dim": null,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 4, "num_class_embeds": 11, "freq_shift": 1, "flip_sin_to_cos": false, "colour": "red"})");
    REQUIRE(file.ignored == std::vector<std::string>{"colour"});
    const UnetConfig& config = file.config;
    REQUIRE(config.sample_size == std::vector<Index>{28});
    REQUIRE(config.in_channels == 1);
    REQUIRE(config.out_channels == 2);
    REQUIRE(config.block_out_channels == std::vector<Index>{8, 16});
    REQUIRE_FALSE(config.attention_head_dim.has_value());
    REQUIRE(config.num_class_embeds == Index{11});
    REQUIRE(config.freq_shift == 1);
    REQUIRE_FALSE(config.flip_sin_to_cos);
    REQUIRE(config.layers_per_block == 2);
    REQUIRE(config.norm_eps == 1e-5);
    REQUIRE(config.mid_block_type == std::string("UNetMidBlock2D"));
}

TEST_CASE("a config that is written and read is the same") {
    UnetConfig config = small_unet({.classes = 10, .dropout = 0.1});
    REQUIRE(read(io::to_text(to_json(config))).config == config);
    config.sample_size = {28, 32};
    config.mid_block_type.reset();
    config.attention_head_dim.reset();
    config.class_embed_type = "timestep";
    config.norm_eps = 1e-6;
    REQUIRE(read(io::to_text(to_json(config))).config == config);
    REQUIRE(read(io::to_text(to_json(config))).ignored.empty());
}

TEST_CASE("the small network puts attention where it is asked for") {
    const UnetConfig config = small_unet({.size = 28, .width = 32, .mults = {1, 2, 4}, .classes = 10});
    REQUIRE(config.block_out_channels == std::vector<Index>{32, 64, 128});
    REQUIRE(config.down_block_types == std::vector<std::string>{"DownBlock2D", "DownBlock2D", "AttnDownBlock2D"});
    REQUIRE(config.up_block_types == std::vector<std::string>{"AttnUpBlock2D", "UpBlock2D", "UpBlock2D"});
    REQUIRE(config.num_class_embeds == Index{11});
    check_config(config);
}

TEST_CASE("what cannot be built is refused with its name") {
    const auto message_of = [](const std::string& text) {
        try {
            read(text);
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    REQUIRE(message_of(R"({"act_fn": "mish"})").find("act_fn \"mish\"") != std::string::npos);
    REQUIRE(message_of(R"({"downsample_type": "resnet"})").find("downsample_type") != std::string::npos);
    REQUIRE(message_of(R"({"block_out_channels": [32]})").find("block_out_channels") != std::string::npos);
    REQUIRE(message_of(R"({"block_out_channels": [30, 32, 32, 32]})").find("30 channels") != std::string::npos);
    REQUIRE(message_of(R"({"block_out_channels": "many"})").find("block_out_channels") != std::string::npos);
    REQUIRE(message_of(R"({"dropout": 1})").find("dropout") != std::string::npos);
    REQUIRE(message_of(R"({"layers_per_block": 0})").find("layers") != std::string::npos);
    REQUIRE(message_of("{}").empty());
}

}  // namespace unet_config_test
