// Prints hashes of results that must be the same for every compiler, instruction set and number of threads.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "genmod/genmod.hpp"

using namespace genmod;

namespace {

// FNV-1a over the bytes.
class Hash {
public:
    template <class T>
    void add(const T* data, Index count) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(data);
        for (std::size_t k = 0; k < static_cast<std::size_t>(count) * sizeof(T); ++k)
            value_ = (value_ ^ bytes[k]) * 0x100000001b3u;
    }
    template <class T>
    void add(const Tensor<T>& tensor) {
        add(tensor.data(), tensor.size());
    }
    void print(const std::string& what) const {
        std::printf("%-32s %016llx\n", what.c_str(), static_cast<unsigned long long>(value_));
    }

private:
    std::uint64_t value_ = 0xcbf29ce484222325u;
};

template <class T>
void products(const std::string& type) {
    Rng rng(1);
    Hash hash;
    for (const Index m : {1, 3, 17, 130})
        for (const Index n : {1, 19, 64, 257})
            for (const Index k : {1, 16, 300, 1000}) {
                const Tensor<T> a = rng.uniforms<T>({m, k}, -1, 1), b = rng.uniforms<T>({n, k}, -1, 1);
                hash.add(ops::linear(Var<T>(a), Var<T>(b), Var<T>()).value());
            }
    hash.print("products " + type);
}

// With weights in bf16, by whatever instruction the build has.
void bf16_products(const std::string& type, Precision precision) {
    Rng rng(1);
    Hash hash;
    for (const Index m : {1, 17, 130})
        for (const Index n : {19, 64, 257})
            for (const Index k : {1, 16, 301, 1000}) {
                const Tensor<float> a = rng.uniforms<float>({m, k}, -1, 1), b = rng.uniforms<float>({n, k}, -1, 1);
                Tensor<float> c({m, n});
                kernels::gemm_packed(kernels::row_major(a.data(), m, k),
                                     kernels::pack_weights(b.data(), n, k, precision), c.data(), n);
                hash.add(c);
            }
    hash.print("products " + type);
}

template <class T>
void convolutions(const std::string& type) {
    Rng rng(2);
    Hash hash;
    for (const Index size : {7, 14, 28, 33})
        for (const Index stride : {1, 2})
            for (const Index channels : {1, 5, 32}) {
                const auto x = Var<T>::parameter(rng.uniforms<T>({2, size, size, channels}, -1, 1));
                const auto w = Var<T>::parameter(rng.uniforms<T>({24, 3, 3, channels}, -1, 1));
                const Var<T> y = ops::conv2d(x, w, Var<T>(), {.stride = stride, .padding = 1});
                backward(y, rng.uniforms<T>(y.shape(), -1, 1));
                hash.add(y.value());
                hash.add(x.grad());
                hash.add(w.grad());
            }
    hash.print("convolutions " + type);
}

template <class T>
void functions(const std::string& type) {
    Rng rng(3);
    const auto x = Var<T>::parameter(rng.uniforms<T>({10007}, -6, 6));
    const auto mark = [&](const std::string& name, auto f) {
        Hash hash;
        const Var<T> y = f(x);
        hash.add(y.value());
        x.node()->grad = {};
        backward(y, Tensor<T>::full(y.shape(), T(1)));
        hash.add(x.grad());
        hash.print(name + " " + type);
    };
    mark("silu", [](const Var<T>& v) { return ops::silu(v); });
    mark("gelu", [](const Var<T>& v) { return ops::gelu(v); });
    mark("tanh", [](const Var<T>& v) { return ops::tanh(v); });
    mark("sigmoid", [](const Var<T>& v) { return ops::sigmoid(v); });
    mark("softplus", [](const Var<T>& v) { return ops::softplus(v); });
    mark("exp", [](const Var<T>& v) { return ops::exp(v); });
    mark("log", [](const Var<T>& v) { return ops::log(ops::square(v)); });
    mark("sin", [](const Var<T>& v) { return ops::sin(v); });
    mark("cos", [](const Var<T>& v) { return ops::cos(v); });
    mark("softmax", [](const Var<T>& v) { return ops::softmax(ops::slice(v, 0, 0, 999)); });
    mark("sum", [](const Var<T>& v) { return ops::sum(v); });
}

template <class T>
void layers(const std::string& type) {
    Rng rng(4);
    Hash norm, attention;
    for (const Index channels : {8, 24, 40}) {
        const auto x = Var<T>::parameter(rng.uniforms<T>({3, 9, 9, channels}, -2, 3));
        const auto weight = Var<T>::parameter(rng.uniforms<T>({channels}, 0.5, 2));
        const auto bias = Var<T>::parameter(rng.uniforms<T>({channels}, -1, 1));
        const Var<T> y = ops::group_norm_silu(x, weight, bias, {.groups = 4, .eps = 1e-5});
        backward(y, rng.uniforms<T>(y.shape(), -1, 1));
        for (const auto& tensor : {y.value(), x.grad(), weight.grad(), bias.grad()}) norm.add(tensor);

        const auto q = Var<T>::parameter(rng.uniforms<T>({2, 70, channels}, -1, 1));
        const auto k = Var<T>::parameter(rng.uniforms<T>({2, 45, channels}, -1, 1));
        const auto v = Var<T>::parameter(rng.uniforms<T>({2, 45, channels}, -1, 1));
        const Var<T> z = ops::attention(q, k, v, {.heads = 4});
        backward(z, rng.uniforms<T>(z.shape(), -1, 1));
        for (const auto& tensor : {z.value(), q.grad(), k.grad(), v.grad()}) attention.add(tensor);
    }
    norm.print("group_norm_silu " + type);
    attention.print("attention " + type);
}

diffusion::UnetConfig unet_config() {
    return diffusion::small_unet({.size = 28,
                                  .channels = 1,
                                  .width = 16,
                                  .mults = {1, 2, 3},
                                  .layers = 1,
                                  .attention = {14, 7},
                                  .classes = 3,
                                  .dropout = 0.1});
}

void random_numbers() {
    Hash hash;
    Tensor<float> normals({100000});
    fill_normal({.seed = 5, .purpose = Purpose::noise}, normals.data(), normals.size());
    hash.add(normals);
    Rng rng(6);
    hash.add(rng.normals<double>({1000}));
    hash.print("random numbers");
}

// Five training steps, then ten sampling steps of what came of them.
void train_and_sample() {
    Rng rng(7);
    const diffusion::Schedule schedule({.beta_schedule = diffusion::BetaSchedule::squaredcos_cap_v2});
    diffusion::Trainer<float, diffusion::Unet<float>> trainer(
        diffusion::Unet<float>(unet_config(), rng), schedule,
        {.loss = {.prediction_type = diffusion::PredictionType::v_prediction,
                  .min_snr_gamma = 5,
                  .condition_dropout = 0.2,
                  .null_class = 3},
         .lr_factor = {.warmup = 2, .total = 8}});
    Hash training;
    for (int step = 0; step < 5; ++step) {
        const double loss = trainer.step(rng.uniforms<float>({6, 28, 28, 1}, -1, 1), {0, 1, 2, 0, 1, 2});
        training.add(&loss, 1);
    }
    nn::for_each_leaf(trainer.model(), [&](const std::string&, const auto& leaf) { training.add(leaf.value()); });
    training.print("5 training steps");

    const auto ask = [&](const Tensor<float>& x, const Tensor<float>& t, const std::vector<Index>& labels) {
        return trainer.average()(Var<float>(x), t, labels);
    };
    const auto predict =
        diffusion::denoiser(diffusion::classifier_free(ask, {0, 1, 2}, {.weight = 2, .rescale = 0.5, .null_class = 3}),
                            {.prediction_type = diffusion::PredictionType::v_prediction});
    Hash ddim, ddpm;
    ddim.add(diffusion::sample(predict, diffusion::Ddim{.eta = 0.5}, diffusion::ddim_levels(schedule, 10),
                               {.shape = {3, 28, 28, 1}, .seed = 9}));
    ddim.print("10 steps of DDIM");
    ddpm.add(diffusion::sample(predict, diffusion::Ddpm{}, diffusion::ddpm_levels(schedule, 10),
                               {.shape = {3, 28, 28, 1}, .seed = 9}));
    ddpm.print("10 steps of DDPM");
}
void bf16_attention() {
    Rng rng(6);
    Hash hash;
    for (const Index width : {8, 40, 160}) {
        const Var<float> q(rng.uniforms<float>({2, 70, width}, -1, 1)), k(rng.uniforms<float>({2, 145, width}, -1, 1));
        hash.add(ops::attention(q, k, k, {.heads = 2, .tiles = true}).value());
    }
    hash.print("attention bf16_tiles");
}

}  // namespace

int main() {
    random_numbers();
    products<float>("float");
    products<double>("double");
    bf16_products("bf16", Precision::bf16);
    bf16_products("bf16_tiles", Precision::bf16_tiles);
    bf16_attention();
    convolutions<float>("float");
    convolutions<double>("double");
    functions<float>("float");
    functions<double>("double");
    layers<float>("float");
    layers<double>("double");
    train_and_sample();
}
