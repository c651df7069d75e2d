// Every sampler of the library on data whose best prediction is known: the order of its convergence, its error, and how
// far its samples are from their law. A sampler of one's own is checked in the same way.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "examples/support/line_plot.hpp"
#include "examples/support/run.hpp"
#include "genmod/genmod.hpp"

using namespace genmod;
using namespace genmod::diffusion;

namespace {

struct Row {
    std::string name;
    CertifyOptions options;
    Certificate found;
};

// DPM fast has to know how many questions it may ask: here three for each step of the run but the last two.
struct FastInThrees {
    template <class T>
    using State = DpmFast::State<T>;

    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state, Noise& noise) const {
        const Index noisy = at.way->steps.back().to.sigma == 0 ? at.total - 1 : at.total;
        return DpmFast{.nfe = 3 * (noisy - 1)}.step(predict, x, at, state, noise);
    }
};

CertifyOptions ode(double order, Frame frame = Frame::variance_preserving) {
    CertifyOptions options = certify_in(frame);
    options.order = order;
    return options;
}

CertifyOptions sde(double order) {
    CertifyOptions options = ode(order);
    options.stochastic = true;
    return options;
}

// For blocks of three steps: the nearest number of steps that three divides.
CertifyOptions threes(CertifyOptions options) {
    options.order_levels = [](Index count) {
        return certify_levels(Frame::variance_preserving, (count + 1) / 3 * 3, 0.1);
    };
    options.law_steps = 42;
    return options;
}

// For a sampler that divides the step itself.
CertifyOptions in_one_step() {
    CertifyOptions options = ode(0);
    options.levels = [](Index) { return certify_levels(Frame::variance_preserving, 1); };
    options.order_levels = [](Index) { return certify_levels(Frame::variance_preserving, 1, 0.1); };
    return options;
}

// For samplers that want a network which knows where the ODE ends.
CertifyOptions distilled(const Schedule& schedule) {
    CertifyOptions options = sde(0);
    options.target = CertifyTarget::flow_end;
    options.levels = options.order_levels = [schedule](Index count) { return lcm_levels(schedule, count); };
    options.process = [schedule](double t) { return level(schedule, static_cast<Index>(t)); };
    options.steps = {12, 24, 48};
    options.law_steps = 8;
    return options;
}

struct Table {
    std::vector<Row> rows;
    bool passed = true;

    template <class Sampler>
    void add(const std::string& name, const Sampler& sampler, const CertifyOptions& options) {
        rows.push_back({name, options, certify(sampler, options)});
        print(rows.back());
        passed = passed && rows.back().found.passed();
    }

    void add(const CertifyCheck& check) {
        std::printf("%s\n", check.text.c_str());
        passed = passed && check.passed;
    }

private:
    static void print(const Row& row) {
        const auto& errors = row.found.errors;
        std::printf("%-26s", row.name.c_str());
        if (row.options.order > 0) {
            std::printf("%7.2f%7.0f%9.2f  ", errors[2].calls / static_cast<double>(errors[2].steps), row.options.order,
                        row.found.order);
            for (std::size_t k = 0; k < 4; ++k) std::printf(" %8.2e", errors[k].error);
        } else {
            std::printf("      -      -        -         -        -        -        -");
        }
        std::printf("%9.4f  %s\n", row.found.law_distance, row.found.passed() ? "passed" : "refused");
        for (const CertifyCheck& check : row.found.checks)
            if (!check.passed) std::printf("    %s\n", check.text.c_str());
        std::fflush(stdout);
    }
};

void deterministic(Table& table) {
    const auto multistep = [](Index order, DpmAlgorithm type) {
        return DpmSolverMultistep{.solver_order = order, .algorithm_type = type, .lower_order_final = false};
    };
    const auto singlestep = [](Index order) { return DpmSolverSinglestep{.solver_order = order}; };
    table.add("euler", Euler{}, ode(1));
    table.add("ddim", Ddim{}, ode(1));
    table.add("tcd, eta 0", Tcd{.eta = 0}, ode(1));
    table.add("heun", Heun{}, ode(2));
    table.add("kdpm2", Kdpm2{}, ode(2));
    table.add("pndm", Pndm{}, ode(2));
    table.add("lms, order 4", Lms{}, ode(3));
    table.add("dpm-solver, 2 steps", multistep(2, DpmAlgorithm::dpmsolver), ode(2));
    table.add("dpm-solver++ 2m", multistep(2, DpmAlgorithm::dpmsolver_pp), ode(2));
    table.add("dpm-solver++ 3m", multistep(3, DpmAlgorithm::dpmsolver_pp), ode(2));
    table.add("dpm-solver++ single, 2", singlestep(2), ode(2));
    table.add("dpm-solver++ single, 3", singlestep(3), threes(ode(3)));
    table.add("dpm-solver++ 2s", Dpmpp2sAncestral{.eta = 0}, ode(2));
    table.add("dpm fast", FastInThrees{}, ode(2));
    table.add("dpm adaptive, rtol 1e-4", DpmAdaptive{.rtol = 1e-4, .atol = 1e-5}, in_one_step());
    table.add("deis, order 2", Deis{.lower_order_final = false}, ode(2));
    table.add("deis, order 3", Deis{.solver_order = 3, .lower_order_final = false}, ode(3));
    table.add("unipc, order 2, bh1", UniPc{.solver_type = UniPcType::bh1}, ode(2));
    table.add("unipc, order 2", UniPc{}, ode(2));
    table.add("unipc, order 2 to the end", UniPc{.lower_order_final = false}, ode(3));
    table.add("unipc, order 3 to the end", UniPc{.solver_order = 3, .lower_order_final = false}, ode(4));
    table.add("sa-solver, tau 0", SaSolver{.tau = 0}, ode(2));
    table.add("euler, edm", Euler{}, ode(1, Frame::variance_exploding));
    table.add("dpm-solver++ 2m, edm", multistep(2, DpmAlgorithm::dpmsolver_pp), ode(2, Frame::variance_exploding));
    table.add("euler, flow", Euler{}, ode(1, Frame::flow));
    table.add("heun, flow", Heun{}, ode(2, Frame::flow));
}

void stochastic(Table& table) {
    const auto multistep = [](DpmAlgorithm type) { return DpmSolverMultistep{.algorithm_type = type}; };
    CertifyOptions consistency = certify_in(Frame::variance_exploding);
    consistency.order = 0;
    consistency.stochastic = true;
    consistency.target = CertifyTarget::flow_end;
    CertifyOptions fine = sde(1);
    fine.steps = {10, 20, 40, 80, 160, 320};
    table.add("ddpm", Ddpm{}, sde(1));
    table.add("ddpm, fixed_large", Ddpm{VarianceType::fixed_large}, sde(1));
    table.add("ddim, eta 0.5", Ddim{.eta = 0.5}, sde(1));
    table.add("euler ancestral", EulerAncestral{}, sde(1));
    table.add("euler, churn 10", Euler{{.s_churn = 10}}, sde(1));
    table.add("heun, churn 10", Heun{{.s_churn = 10}}, sde(2));
    table.add("kdpm2 ancestral", Kdpm2Ancestral{}, sde(2));
    table.add("dpm-solver++ 2s a", Dpmpp2sAncestral{}, sde(2));
    table.add("dpm-solver++ sde", DpmppSde{}, sde(2));
    table.add("sde-dpm-solver, 2 steps", multistep(DpmAlgorithm::sde_dpmsolver), sde(2));
    table.add("dpm-solver++ 2m sde", multistep(DpmAlgorithm::sde_dpmsolver_pp), sde(2));
    table.add("dpm-solver++ 3m sde", dpmpp_3m_sde(), sde(2));
    table.add("sde-dpm++ single, 3",
              DpmSolverSinglestep{.solver_order = 3, .algorithm_type = DpmAlgorithm::sde_dpmsolver_pp}, threes(fine));
    table.add("sa-solver", SaSolver{}, sde(2));
    table.add("lcm", Lcm{}, distilled(Schedule()));
    table.add("consistency", Consistency{}, consistency);
}

void identities(Table& table) {
    table.add(certify_same("ddim = euler", Ddim{}, Euler{}));
    table.add(certify_same("ddim = dpm-solver-1", Ddim{}, DpmSolverMultistep{.solver_order = 1}));
    table.add(certify_same("ddim, eta 1 = ddpm", Ddim{.eta = 1}, Ddpm{}));
    table.add(certify_same("ddim, eta 1 = euler ancestral", Ddim{.eta = 1}, EulerAncestral{}));
    table.add(certify_inversion("ddim there and back", Ddim{}));
}

// Of the rows that claim an order; of those that give the same curve, the first one.
Tensor<float> plot(const std::vector<Row>& rows, const std::string& title) {
    std::vector<examples::Curve> curves;
    for (const Row& row : rows) {
        if (row.options.order == 0) continue;
        examples::Curve curve{row.name, {}};
        for (std::size_t k = 0; k < 5; ++k)
            curve.points.push_back({static_cast<double>(row.found.errors[k].steps), row.found.errors[k].error});
        const bool again = std::any_of(curves.begin(), curves.end(), [&](const examples::Curve& other) {
            return std::abs(other.points[4].second / curve.points[4].second - 1) < 1e-6;
        });
        if (!again) curves.push_back(std::move(curve));
    }
    return examples::log_log_plot(curves, title);
}

void print_heads(const char* errors) {
    std::printf("\n%26s  calls       order        %s\n", "", errors);
    std::printf("%-26s a step claimed measured %7d%9d%9d%9d distance verdict\n", "sampler", 10, 20, 40, 80);
}

void run_program(const std::string& output) {
    Table ends, variances;
    print_heads("error of the end point at steps");
    deterministic(ends);
    print_heads("worst error of the variance at steps");
    stochastic(variances);
    std::printf("\n");
    identities(ends);
    const Tensor<float> left = plot(ends.rows, "error of the end point against steps"),
                        right = plot(variances.rows, "error of the variance against steps");
    Tensor<float> both({2, left.dim(1), left.dim(2), 3});
    std::copy(left.begin(), left.end(), both.data());
    std::copy(right.begin(), right.end(), both.data() + left.size());
    io::write_png(output, both, 2);
    std::printf("\nwrote %s\n", output.c_str());
    if (!ends.passed || !variances.passed)
        fail(ErrorCode::internal, "a sampler of the library is not what it claims to be");
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Certifies the samplers: order, error, distance to the law; plots error against steps.",
                 "certify_samplers");
    std::string output = "orders.png";
    app.add_option("-o,--output", output, "PNG file to write")->capture_default_str();
    return examples::run(app, argc, argv, [&] { run_program(output); });
}
