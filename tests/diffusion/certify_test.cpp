// Certification passes samplers that are right, and refuses planted faults by name.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "genmod/diffusion/brownian.hpp"
#include "genmod/diffusion/certify.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/sampler/deis.hpp"
#include "genmod/diffusion/sampler/dpm_solver_multistep.hpp"
#include "genmod/diffusion/sampler/euler.hpp"
#include "genmod/diffusion/sampler/euler_ancestral.hpp"
#include "genmod/diffusion/sampler/heun.hpp"
#include "genmod/diffusion/sampler/lms.hpp"
#include "genmod/diffusion/sampler/unipc.hpp"
#include "tests/support/catch.hpp"

namespace certify_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using Numbers = Tensor<double>;

// What a step has at hand.
struct Here {
    std::function<Prediction<double>(const Numbers& x, const NoiseLevel& level)> ask;
    const Numbers& x;
    const NoiseLevel& from;
    const NoiseLevel& to;
    const Step& at;
    std::function<Numbers()> noise;
    std::function<Numbers(double from, double to)> way;
    Numbers& kept;
};

using Move = std::function<Numbers(const Here&)>;

// A sampler of one's own, which remembers nothing but a tensor. One type for all, so that certify() compiles once.
struct Own {
    Move move;

    template <class T>
    struct State {
        Tensor<T> kept;
        static void visit(auto& self, auto&& f) { f("kept", self.kept); }
    };

    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state, Noise& noise) const {
        const auto question = [&](const Numbers& in, const NoiseLevel& level) { return ask<T>(predict, in, level); };
        const auto normals = [&] { return noise.template normals<T>(x.shape()); };
        const auto way = [&](double from, double to) { return noise.template brownian<T>(x.shape(), from, to); };
        return move({question, x, at.from, at.to, at, normals, way, state.kept});
    }
};

// x' = alpha' x0 + sigma' eps.
Numbers ddim(const Prediction<double>& said, const NoiseLevel& to) {
    return combine(to.alpha, said.x0, to.sigma, said.eps);
}

// DDIM of eta 1 with the noise z, of deviation `std`.
Numbers ddpm(const Here& here, double std, const Numbers& z) {
    const Prediction<double> said = here.ask(here.x, here.from);
    const double rest = std::sqrt(std::max(0.0, here.to.sigma * here.to.sigma - std * std));
    return combine(1, combine(here.to.alpha, said.x0, rest, said.eps), std, z);
}
double ddpm_std(const Here& here) { return Ddim{1}.noise_std(here.from, here.to); }

// Heun's method at signal 1, after `churn` times the noise from sigma to 1.1 sigma.
Own heun(bool corrected, double churn = 0, double s_noise = 1) {
    return {[=](const Here& here) {
        const double sigma = sigma_ve(here.from), rise = 1 + churn * 0.1;
        const NoiseLevel from = churn > 0 ? here.at.between(sigma * rise) : here.from;
        Numbers hot = combine(from.alpha / here.from.alpha, here.x, 0, here.x);
        if (churn > 0) hot = combine(1, hot, s_noise * from.alpha * sigma * std::sqrt(rise * rise - 1), here.noise());
        const Prediction<double> first = here.ask(hot, from);
        const Numbers guess = ddim(first, here.to);
        if (!corrected || here.to.sigma == 0) return guess;
        const double half = 0.5 * here.to.alpha * (sigma_ve(here.to) - sigma_ve(from));
        return combine(1, guess, half, combine(1, here.ask(guess, here.to).eps, -1, first.eps));
    }};
}

// Euler ancestral; with the noise up and the level down swapped, if asked.
Own ancestral(bool swapped) {
    return {[=](const Here& here) {
        const double sigma = sigma_ve(here.from), to = sigma_ve(here.to);
        double up = to * std::sqrt(1 - to * to / (sigma * sigma)), down = std::sqrt(to * to - up * up);
        if (swapped) std::swap(up, down);
        const Prediction<double> said = here.ask(here.x, here.from);
        const Numbers next = combine(here.to.alpha, said.x0, here.to.alpha * down, said.eps);
        return here.to.sigma == 0 ? next : combine(1, next, here.to.alpha * up, here.noise());
    }};
}

// Half the work, where that tells as much.
CertifyOptions quick(double order, bool stochastic, Frame frame = Frame::variance_preserving) {
    CertifyOptions options = certify_in(frame);
    options.order = order;
    options.stochastic = stochastic;
    options.steps = {20, 40, 80};
    options.law_steps = 30;
    options.samples = 512;
    return options;
}

template <class Sampler>
void require_passed(const std::string& name, const Sampler& sampler, const CertifyOptions& options) {
    const Certificate found = certify(sampler, options);
    INFO(name << "\n" << to_string(found));
    CHECK(found.passed());
}

template <class Sampler>
void require_refused(const std::string& by, const Sampler& sampler, const CertifyOptions& options) {
    const Certificate found = certify(sampler, options);
    INFO("to be refused by " << by << "\n" << to_string(found));
    CHECK(found.refused_by(by));
    CHECK_FALSE(found.passed());
}

}  // namespace

TEST_CASE("the errors are those of the table of orders") {
    CertifyOptions options = quick(1, false);
    options.steps = {10, 20, 40, 80};
    const auto errors = [&](const char* name, const auto& sampler, const std::vector<double>& expected) {
        const Certificate found = certify(sampler, options);
        INFO(name << "\n" << to_string(found));
        for (std::size_t k = 0; k < expected.size(); ++k)
            CHECK(found.errors[k].error == Approx(expected[k]).epsilon(5e-3));
    };
    errors("euler", Euler{}, {1.29e-1, 6.67e-2, 3.39e-2, 1.71e-2});
    errors("ddim", Ddim{}, {1.29e-1, 6.67e-2, 3.39e-2, 1.71e-2});
    errors("dpm 1", DpmSolverMultistep{.solver_order = 1}, {1.29e-1, 6.67e-2, 3.39e-2, 1.71e-2});
    errors("heun", Heun{}, {4.11e-2, 9.73e-3, 2.37e-3, 5.83e-4});
    errors("own heun", heun(true), {4.11e-2, 9.73e-3, 2.37e-3, 5.83e-4});
    errors("dpm++ 2m", DpmSolverMultistep{.lower_order_final = false}, {1.62e-2, 6.48e-3, 1.74e-3, 4.41e-4});
    errors("dpm++ 3m", DpmSolverMultistep{.solver_order = 3, .lower_order_final = false},
           {3.15e-2, 3.13e-3, 5.57e-4, 1.30e-4});
    errors("deis 2", Deis{.lower_order_final = false}, {2.65e-2, 6.62e-3, 1.63e-3, 4.01e-4});
    errors("unipc 2", UniPc{}, {1.39e-2, 1.26e-3, 4.10e-4, 1.25e-4});
    errors("lms 4", Lms{}, {3.22e-2, 3.93e-3, 3.45e-4, 2.62e-5});
}

TEST_CASE("right samplers pass, in every frame") {
    for (const Frame frame : {Frame::variance_preserving, Frame::variance_exploding, Frame::flow}) {
        const std::string name = "frame " + std::to_string(static_cast<int>(frame)) + " ";
        require_passed(name + "ddim", Ddim{}, quick(1, false, frame));
        require_passed(name + "ddpm", Ddpm{}, quick(1, true, frame));
        require_passed(name + "own heun", heun(true), quick(2, false, frame));
    }
    require_passed("own churn", heun(true, 1), quick(1, true));
    require_passed("own ancestral", ancestral(false), quick(1, true));
}

TEST_CASE("levels of a trained schedule pass, and what is wrong with levels is named") {
    const Schedule schedule;
    const auto good = [schedule](Index count) {
        return levels_of_list(schedule, timesteps(1000, count, {Spacing::leading}));
    };
    CertifyOptions options = quick(1, false);
    options.process = [schedule](double t) { return level(schedule, static_cast<Index>(t)); };
    options.levels = options.order_levels = good;
    options.order = 0;  // the last steps of this list are large
    options.steps = {100, 200, 400};
    options.law_steps = 100;
    require_passed("leading", Ddim{}, options);

    const auto refused = [&](const char* by, std::function<void(std::vector<LevelPair>&)> damage) {
        CertifyOptions damaged = options;
        damaged.levels = [good, damage](Index count) {
            Levels levels = good(count);
            damage(levels.steps);
            return levels;
        };
        require_refused(by, Ddim{}, damaged);
    };
    const auto shifted = [schedule](NoiseLevel& at, Index by) {
        if (at.t < 1) return;
        const double t = at.t;
        at = level(schedule, static_cast<Index>(t) + by);
        at.t = t;
    };
    refused("levels_network", [&](auto& steps) {
        for (LevelPair& pair : steps) shifted(pair.from, -1), shifted(pair.to, -1);
    });
    refused("levels_join", [&](auto& steps) {
        for (LevelPair& pair : steps) shifted(pair.to, 1);
    });
    refused("levels_end", [](auto& steps) { steps.pop_back(); });
    refused("levels_start", [](auto& steps) { steps.erase(steps.begin(), steps.begin() + 60); });
    refused("levels_fall", [](auto& steps) { std::swap(steps[3].from, steps[3].to); });
}

TEST_CASE("deterministic samplers with a fault are refused") {
    const CertifyOptions options = quick(1, false);
    const auto refused = [&](const char* by, Move move) { require_refused(by, Own{std::move(move)}, options); };
    // The alpha-bar of the step beside the right one, where the step ends, and where the network is asked.
    refused("order", [](const Here& here) {
        return ddim(here.ask(here.x, here.from), here.to.t < 1 ? here.to : here.at.at_time(here.to.t - 1));
    });
    refused("variance_end", [](const Here& here) {
        return ddim(here.ask(here.x, here.at.at_time(std::max(0.0, here.from.t - 1))), here.to);
    });
    require_refused("order", heun(false), quick(2, false));
    require_refused("noise", ancestral(false), options);
    refused("last_step",
            [](const Here& here) { return here.to.sigma == 0 ? here.x : ddim(here.ask(here.x, here.from), here.to); });
    refused("mean", [](const Here& here) {
        return combine(1, ddim(here.ask(here.x, here.from), here.to), 1, Numbers::full(here.x.shape(), 1e-4));
    });
    refused("finite", [](const Here& here) { return combine(1e200, here.x, 1e200, here.x); });
    // Right for Gaussians near 0, but it clips the data of the mixture.
    refused("law_variance", [](const Here& here) {
        Prediction<double> said = here.ask(here.x, here.from);
        for (double& value : said.x0) value = std::min(1.2, std::max(-1.2, value));
        return ddim(said, here.to);
    });
    // Keeps to one side of the plane.
    refused("law_shares", [](const Here& here) {
        Prediction<double> said = here.ask(here.x, here.from);
        for (Index k = 0; here.x.rank() == 3 && k < here.x.size(); k += 2) said.x0[k] = std::fabs(said.x0[k]);
        return ddim(said, here.to);
    });
}

TEST_CASE("stochastic samplers with a fault are refused") {
    const CertifyOptions options = quick(1, true);
    const auto refused = [&](const char* by, Move move) { require_refused(by, Own{std::move(move)}, options); };
    require_refused("variance_middle", heun(true, 1, 1.05), options);
    require_refused("variance_end", heun(true, 1, 0.95), options);
    require_refused("variance_middle", ancestral(true), options);
    require_refused("order", ancestral(true), options);
    require_refused("noise", Ddim{}, options);
    refused("last_step", [](const Here& here) {
        return ddpm(here, here.to.sigma == 0 ? here.from.sigma : ddpm_std(here), here.noise());
    });
    // Adds noise, and takes none away for it.
    refused("variance_end", [](const Here& here) {
        return combine(1, ddim(here.ask(here.x, here.from), here.to), ddpm_std(here), here.noise());
    });
    // The same noise in each step.
    refused("variance_middle", [](const Here& here) {
        if (here.kept.empty()) here.kept = here.noise();
        return ddpm(here, ddpm_std(here), here.kept);
    });
    // The same noise for both numbers of a point.
    refused("law_distance", [](const Here& here) {
        Numbers z = here.noise();
        for (Index k = 0; here.x.rank() == 3 && k < z.size(); k += 2) z[k + 1] = z[k];
        return ddpm(here, ddpm_std(here), z);
    });
}

TEST_CASE("identities hold, and not between samplers that differ") {
    const CertifyOptions options = quick(1, false), second = quick(2, false);
    const auto same = [&](const auto& a, const auto& b) { return certify_same("same", a, b, options); };
    const Ddim half{.eta = 0.5}, whole{.eta = 1};
    const DpmSolverMultistep dpm_1{.solver_order = 1};
    const Ddpm large{VarianceType::fixed_large};
    // Goes up with x for x0.
    const Own forgetful{[](const Here& here) {
        Prediction<double> said = here.ask(here.x, here.from);
        if (here.to.sigma > here.from.sigma) said.x0 = here.x;
        return ddim(said, here.to);
    }};
    const std::vector<CertifyCheck> hold{same(Ddim{}, Euler{}),
                                         same(Ddim{}, dpm_1),
                                         same(whole, Ddpm{}),
                                         same(EulerAncestral{}, Ddpm{}),
                                         same(heun(true), Heun{}),
                                         certify_inversion("back", Ddim{}, options),
                                         certify_inversion("back", Heun{}, second)};
    const std::vector<CertifyCheck> fail{same(Ddim{}, Heun{}), same(whole, large), same(Ddim{}, half),
                                         certify_inversion("back", Ddim{}, second),
                                         certify_inversion("back", forgetful, options)};
    for (const CertifyCheck& check : hold) {
        INFO(check.text);
        CHECK(check.passed);
    }
    for (const CertifyCheck& check : fail) {
        INFO(check.text);
        CHECK_FALSE(check.passed);
    }
}

TEST_CASE("noise from a Brownian motion is taken apart where its draws overlap") {
    // The way in two parts is the whole way, whose share in x' is then 0.
    const auto in_parts = [](double slip) {
        return Own{[=](const Here& here) {
            const double from = sigma_ve(here.from), to = sigma_ve(here.to), middle = (from + to) / 2;
            const auto a = static_cast<double>(brownian_time(from) - brownian_time(middle));
            const auto b = static_cast<double>(brownian_time(middle) - brownian_time(to));
            const Numbers first = here.way(from, middle), whole = here.way(from, to), second = here.way(middle, to);
            const Numbers sum = combine(std::sqrt(a / (a + b)), first, std::sqrt(b / (a + b)), second);
            return ddpm(here, ddpm_std(here), combine(1 + slip, sum, -slip, whole));
        }};
    };
    const auto same = [&](const Own& own) { return certify_same("same", own, Ddpm{}, quick(1, true)); };
    CHECK(same(in_parts(0)).measured < 1e-9);
    CHECK(same(in_parts(10)).measured < 1e-9);
    CHECK_FALSE(same(Own{[](const Here& here) {
                    const double from = sigma_ve(here.from), to = sigma_ve(here.to), middle = (from + to) / 2;
                    const Numbers half = here.way(from, middle), whole = here.way(from, to);
                    return ddpm(here, ddpm_std(here), combine(std::sqrt(0.5), half, std::sqrt(0.5), whole));
                }}).passed);
}

TEST_CASE("samplers of consistency models are right for networks that know the end of the ODE, and for no other") {
    const Own sampler{[](const Here& here) {
        return combine(here.to.alpha, here.ask(here.x, here.from).x0, here.to.sigma, here.noise());
    }};
    CertifyOptions options = quick(0, true);
    options.law_steps = 4;
    options.target = CertifyTarget::flow_end;
    require_passed("consistency", sampler, options);
    options.target = CertifyTarget::mean;
    require_refused("variance_end", sampler, options);
}

TEST_CASE("samples are judged by what chance does") {
    const GaussianMixture law = certify_law(CertifyTarget::mean);
    double mean = 0, square = 0;
    const int rounds = 40;
    Rng rng(3);
    for (int k = 0; k < rounds; ++k) {
        const LawDistance found = law_distance(law, law.draw(128, rng));
        CHECK(std::fabs(found.variance) < 5 * found.variance_chance);
        CHECK(std::fabs(found.share) < 5 * found.share_chance);
        mean += found.distance / rounds;
        square += found.distance * found.distance / rounds;
        if (k > 0) continue;
        const double root = std::sqrt(128.0);
        CHECK(found.chance.mean == Approx(1.125 / root).epsilon(0.05));  // of 20,000 sets
        CHECK(found.chance.deviation < 1.3 * 0.431 / root);
        CHECK(found.chance.deviation > 0.431 / root);
    }
    CHECK(mean == Approx(1.125 / std::sqrt(128.0)).epsilon(0.2));
    CHECK(std::sqrt(square - mean * mean) == Approx(0.431 / std::sqrt(128.0)).epsilon(0.4));
    const GaussianMixture line = GaussianMixture::normal(0, 1);
    std::vector<double> values;
    for (int k = 0; k < 100; ++k) values.push_back(0.1 + quantile(line, (k + 0.5) / 100));
    CHECK(wasserstein(line, values) == Approx(0.1).epsilon(1e-9));
}

TEST_CASE("options that make no sense are errors") {
    CertifyOptions options = quick(1, false);
    options.steps = {20, 40, 60};
    REQUIRE_THROWS_AS(certify(Ddim{}, options), Error);
    options = quick(1, false);
    options.samples = 3;
    REQUIRE_THROWS_AS(certify(Ddim{}, options), Error);
    options = quick(1, false);
    options.levels = [](Index) { return Levels{}; };
    REQUIRE_THROWS_AS(certify(Ddim{}, options), Error);
    REQUIRE_THROWS_AS(certify_levels(Frame::flow, 0), Error);
}

}  // namespace certify_test
