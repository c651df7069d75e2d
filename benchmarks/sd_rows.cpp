// Rows of networks of the shapes of Stable Diffusion 1.5, with random, frozen weights: sd_unet_S and sd_vae_S with
// latents of S x S (the pictures are eight times as wide), clip_text_N with N prompts of 77 tokens.
#include <map>
#include <memory>

#include "benchmarks/families.hpp"
#include "benchmarks/sd/clip_text.hpp"
#include "benchmarks/sd/unet.hpp"
#include "benchmarks/sd/vae_decoder.hpp"
#include "benchmarks/shapes.hpp"
#include "genmod/nn/freeze.hpp"

using namespace genmod;

namespace benchmarks {

namespace {

// Of products and convolutions by the side of the latents (peers/count_gflop.py).
using Table = std::map<Index, double>;
const Table unet_gflop = {{8, 27.2557056}, {16, 91.6939162}, {32, 360.21289}, {64, 1606.54688}};
const Table vae_gflop = {{8, 38.760876}, {16, 155.144167}, {32, 622.187282}, {64, 2514.51893}};
constexpr double text_gflop = 13.2985037;

double gflop_of(const Table& table, Index side) {
    const auto found = table.find(side);
    return found == table.end() ? 0 : found->second;
}

// A network with random weights, packed for inference; `half`: in bf16.
template <class Network, class Config>
std::shared_ptr<Network> frozen(const Config& config, bool half) {
    Rng rng(0);
    const auto network = std::make_shared<Network>(config, rng);
    nn::freeze(*network, half ? kernels::fastest_bf16() : Precision::full);
    return network;
}

// Two latents, as with guidance, and 77 tokens.
template <bool half>
Work unet(const std::string& sizes) {
    const Index side = numbers(sizes, 1)[0];
    sd::UnetConfig config;
    if (half) config.frozen = kernels::fastest_bf16();
    const auto network = frozen<sd::Unet>(config, half);
    const auto run = [=, x = random({2, side, side, 4}, 1), context = random({2, 77, 768}, 2)] {
        const NoGrad off;
        (*network)(Var<float>(x), Tensor<float>::full({2}, 500), Var<float>(context));
    };
    return {.run = run, .gflop = gflop_of(unet_gflop, side)};
}

template <bool half>
Work vae(const std::string& sizes) {
    const Index side = numbers(sizes, 1)[0];
    const auto network = frozen<sd::VaeDecoder>(sd::DecoderConfig{}, half);
    const auto run = [=, z = random({1, side, side, 4}, 1)] {
        const NoGrad off;
        (*network)(Var<float>(z));
    };
    return {.run = run, .gflop = gflop_of(vae_gflop, side)};
}

template <bool half>
Work clip_text(const std::string& sizes) {
    const Index prompts = numbers(sizes, 1)[0];
    const auto network = frozen<sd::ClipText>(sd::TextConfig{}, half);
    Rng rng(0);
    Tensor<Index> words({prompts, 77});
    for (Index& word : words) word = rng.below(49408);
    const auto run = [=] {
        const NoGrad off;
        (*network)(words);
    };
    return {.run = run, .gflop = text_gflop * static_cast<double>(prompts)};
}

}  // namespace

std::vector<Family> sd_families() {
    return {{"sd_unet", {"8", "16", "32", "64"}, unet<false>},
            {"bf16_sd_unet", {"8", "16", "32", "64"}, unet<true>},
            {"sd_vae", {"8", "16", "32", "64"}, vae<false>},
            {"bf16_sd_vae", {"64"}, vae<true>},
            {"clip_text", {"1"}, clip_text<false>},
            {"bf16_clip_text", {"1"}, clip_text<true>}};
}

}  // namespace benchmarks
