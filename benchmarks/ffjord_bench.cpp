// The FFJORD of torch_ffjord.py in genmod: same weights, same points, same tolerance, same threads. Writes the weights
// and points for that program. Prints best and median milliseconds, and how often the field was asked.
//
// Run: OMP_PROC_BIND=true OMP_PLACES=cores ffjord_bench [threads] [file to write]
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "benchmarks/timing.hpp"
#include "genmod/core/build_info.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/data/toy.hpp"
#include "genmod/flows/ffjord.hpp"
#include "genmod/flows/flow.hpp"
#include "genmod/flows/trainer.hpp"
#include "genmod/nn/state.hpp"

using namespace genmod;
using namespace benchmarks;

namespace {

// A flow with weights of the size that training gives, and points of the data.
struct Case : nn::Module {
    flows::Flow<float, flows::Ffjord<float>> flow;
    Tensor<float> points;

    explicit Case(Rng& rng)
        : flow(flows::ffjord<float>(2, rng, {.hidden = {64, 64, 64}},
                                    {.end_time = 1, .integrate = {.ode = {.atol = 1e-5, .rtol = 1e-5}}}),
               {2}),
          points(data::eight_gaussians(512, rng)) {
        nn::for_each_leaf(flow.transform.field, [](const std::string&, auto& leaf) {
            for (float& number : leaf.value()) number *= 1.5f;
        });
    }

    static void visit(auto& self, auto&& f) {
        f("", self.flow.transform);
        f("points", self.points);
    }
};

using Model = flows::Flow<float, flows::Ffjord<float>>;

void time_steps(const char* name, const Case& own, nn::OdeGradient gradient, bool seminorm) {
    Model model = nn::clone(own.flow);
    model.transform.options.integrate.gradient = gradient;
    model.transform.options.integrate.seminorm = seminorm;
    flows::Trainer<float, Model> trainer(std::move(model), {.adam = {.lr = 1e-5}});
    timed(name, 5, [&] { trainer.step(own.points); });
}

}  // namespace

int main(int argc, char** argv) {
    const Threads threads(argc > 1 ? std::atoi(argv[1]) : 1);
    Rng rng(0);
    Case own(rng);
    if (argc > 2) nn::save(own, std::string(argv[2]));
    const auto& flow = own.flow.transform;
    Index evaluations = 0;
    double sum = 0;
    {
        const NoGrad off;
        const auto solved = flow.solve(Var<float>(own.points), 0, 1);
        evaluations = solved.evaluations;
        for (const float log_det : solved.y[1].value()) sum += static_cast<double>(log_det) / 512;
    }
    std::printf("%s, %lld parameters, %lld evaluations, mean log-determinant %.5f\n", build_info().c_str(),
                static_cast<long long>(nn::count(flow)), static_cast<long long>(evaluations), sum);
    timed("solve with the exact trace, 512 points", 5, [&] {
        const NoGrad off;
        flow.solve(Var<float>(own.points), 0, 1);
    });
    time_steps("training step, adjoint, 512 points", own, nn::OdeGradient::adjoint, false);
    time_steps("training step, adjoint by seminorm, 512 points", own, nn::OdeGradient::adjoint, true);
    time_steps("training step, direct, 512 points", own, nn::OdeGradient::direct, false);
}
