// Rows of normalizing flows: RealNVP of points in the plane, 8 couplings of two layers of 128, and Glow of pictures of
// 28 x 28 x 1. The number is that of the points or pictures.
#include <algorithm>
#include <memory>

#include "benchmarks/families.hpp"
#include "benchmarks/shapes.hpp"
#include "genmod/flows/glow.hpp"
#include "genmod/flows/realnvp.hpp"
#include "genmod/flows/trainer.hpp"
#include "genmod/nn/freeze.hpp"

using namespace genmod;

namespace benchmarks {

namespace {

constexpr double gflop_point = 0.000268288, gflop_point_step = 0.000804608;  // of one point (peers/count_gflop.py)
constexpr double gflop_picture = 0.032442208, gflop_picture_step = 0.09732648;

flows::PointFlow<float> real_nvp() {
    Rng rng(0);
    return flows::real_nvp<float>(2, rng);
}

flows::ImageFlow<float> glow() {
    Rng rng(0);
    return flows::glow<float>({28, 28, 1}, rng, {.levels = 2, .steps = 8, .hidden = 64});
}

Work train_points(const std::string& sizes) {
    const Index batch = numbers(sizes, 1)[0];
    const auto trainer =
        std::make_shared<flows::Trainer<float, flows::PointFlow<float>>>(real_nvp(), flows::TrainerOptions{});
    return {.run = [=, points = Rng(1).normals<float>({batch, 2})] { trainer->step(points); },
            .gflop = gflop_point_step * static_cast<double>(batch),
            .parameters = nn::count(trainer->model())};
}

// In chunks that stay in the cache.
Work sample_points(const std::string& sizes) {
    const Index count = numbers(sizes, 1)[0];
    const auto flow = std::make_shared<flows::PointFlow<float>>(real_nvp());
    nn::freeze(*flow);
    const auto run = [=] {
        for (Index first = 0; first < count; first += 4000)
            flow->sample(std::min<Index>(4000, count - first), static_cast<std::uint64_t>(first));
    };
    return {.run = run, .gflop = gflop_point * static_cast<double>(count)};
}

Work train_pictures(const std::string& sizes) {
    const Index batch = numbers(sizes, 1)[0];
    const auto trainer =
        std::make_shared<flows::Trainer<float, flows::ImageFlow<float>>>(glow(), flows::TrainerOptions{});
    const Tensor<float> pictures = random({batch, 28, 28, 1});
    trainer->initialize(pictures);
    return {.run = [=] { trainer->step(pictures); },
            .gflop = gflop_picture_step * static_cast<double>(batch),
            .parameters = nn::count(trainer->model())};
}

Work sample_pictures(const std::string& sizes) {
    const Index count = numbers(sizes, 1)[0];
    const auto flow = std::make_shared<flows::ImageFlow<float>>(glow());
    flow->initialize(random({count, 28, 28, 1}));
    return {.run = [=] { flow->sample(count, 0); },
            .gflop = gflop_picture * static_cast<double>(count),
            .parameters = nn::count(*flow)};
}

}  // namespace

std::vector<Family> flow_families() {
    return {{"realnvp_train", {"512"}, train_points},
            {"realnvp_sample", {"100000"}, sample_points},
            {"glow_train", {"32"}, train_pictures},
            {"glow_sample", {"32"}, sample_pictures}};
}

}  // namespace benchmarks
