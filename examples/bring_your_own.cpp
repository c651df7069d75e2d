// An op, a network and a sampler of one's own, from outside the library: nothing is registered anywhere.
#include <cmath>
#include <cstdio>
#include <string>

#include "examples/support/plot.hpp"
#include "examples/support/run.hpp"
#include "genmod/genmod.hpp"

using namespace genmod;

namespace {

// An op is a free function: it computes, and tells how a gradient travels back. snake(x) = x + sin^2(x) (Ziyin et al.
// 2020), with derivative 1 + sin(2x).
template <class T>
Var<T> snake(const Var<T>& x) {
    Tensor<T> y(x.shape());
    for (Index k = 0; k < y.size(); ++k) y[k] = x.value()[k] + std::sin(x.value()[k]) * std::sin(x.value()[k]);
    Var<T> result(y);
    if (recording(x))
        result.attach({x}, [xv = x.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
            Tensor<T> dx(xv.shape());
            for (Index k = 0; k < dx.size(); ++k) dx[k] = dy[k] * (T(1) + std::sin(2 * xv[k]));
            sinks.give(0, dx);
        });
    return result;
}

// A network is a struct that names its parts.
template <class T>
struct SnakeNet : nn::Module {
    nn::Linear<T> enter, middle, leave;

    explicit SnakeNet(Rng& rng) : enter(2 + 32, 128, rng), middle(128, 128, rng), leave(128, 2, rng) {}

    Var<T> operator()(const Var<T>& x, const Tensor<T>& t) const {
        const Var<T> h = snake(enter(ops::concat<T>({x, Var<T>(nn::sinusoid_embedding(t, 32))}, 1)));
        return leave(ops::add(h, snake(middle(h))));
    }

    static void visit(auto& self, auto&& f) {
        f("enter", self.enter);
        f("middle", self.middle);
        f("leave", self.leave);
    }
};

// A sampler is a value with a step, and a state if it remembers something: gradient estimation (Permenter and Yuan
// 2024) walks like DDIM, but along an eps that leads away from that of the step before.
struct GradientEstimation {
    double gamma = 2;

    template <class T>
    struct State {
        Tensor<T> eps;  // of the step before

        static void visit(auto& self, auto&& f) { f("eps", self.eps); }
    };

    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const diffusion::Step& at, State<T>& state,
                   Noise&) const {
        const Tensor<T> eps = predict(x, at.from).eps;
        const Tensor<T> way = state.eps.empty() ? eps : diffusion::combine(gamma, eps, 1 - gamma, state.eps);
        state.eps = eps;
        const double keep = at.to.alpha / at.from.alpha;
        return diffusion::combine(keep, x, at.to.sigma - keep * at.from.sigma, way);
    }
};

void run_program(Index steps, const std::string& output) {
    Rng rng(3);
    const GradCheck result =
        check_grad([](const std::vector<Var<double>>& in) { return snake(in[0]); }, {rng.normals<double>({3, 5})});
    std::printf("the op's gradient differs from differences by %.1e\n", result.error);
    check(result.ok(), "the gradient of snake is wrong: ", result.where);
    const diffusion::Certificate certificate = diffusion::certify(GradientEstimation{}, {.order = 1});
    std::printf("the sampler converges with order %.2f\n", certificate.order);
    check(certificate.passed(), "the sampler is wrong:\n", certificate);

    const diffusion::Schedule schedule;
    diffusion::Trainer<float, SnakeNet<float>> trainer(
        SnakeNet<float>(rng), schedule, {.adam = {.lr = 2e-3}, .lr_factor = {.warmup = 50, .total = steps}});
    io::Progress progress("training");
    for (Index k = 0; k < steps; ++k) {
        trainer.step(examples::half_size(data::moons<float>(512, rng)));
        progress(k + 1, steps);
    }
    const auto predict = diffusion::denoiser(
        [&](const Tensor<float>& x, const Tensor<float>& t) { return trainer.average()(Var<float>(x), t); },
        {.clip_sample = false});
    const Tensor<float> points = diffusion::sample(predict, GradientEstimation{}, diffusion::ddim_levels(schedule, 20),
                                                   {.shape = {4000, 2}, .seed = 1});
    io::write_png(output, examples::scatter(points));
    std::printf("wrote %s: 20 steps of the sampler from outside the library\n", output.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("An op, a network and a sampler of one's own.", "bring_your_own");
    Index steps = 3000;
    std::string output = "moons.png";
    app.add_option("--steps", steps, "Training steps")->capture_default_str()->check(CLI::Range(1, 1 << 30));
    app.add_option("-o,--output", output, "PNG file to write")->capture_default_str();
    return examples::run(app, argc, argv, [&] { run_program(steps, output); });
}
