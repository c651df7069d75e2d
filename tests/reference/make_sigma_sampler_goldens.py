"""Golden loops of the samplers that walk along sigma: k-diffusion's, in double, and diffusers', in float as shipped.

Needs torch, diffusers, safetensors, scipy, torchsde, torchdiffeq, and k-diffusion (only its sampling.py is loaded);
run: python tests/reference/make_sigma_sampler_goldens.py

The "network" is m = 0.5 * x + pattern[call] + t / 1000, where x is the variance-preserving picture, EDM's scaled one,
or for flow matching x itself. Noise is given: draw d of step k is noise[k * draws + d]. A loop's tensor holds every x
that the network was asked about, and the last x: [calls + 1, n, c, h, w], at signal 1 (x / alpha), for flow matching as
it is.
"""

import importlib.util
import itertools
import math
import sys
import types

import numpy
import torch
from diffusers import (
    DPMSolverSDEScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
)

from golden import Numbers, save
from make_scheduler_goldens import exact_betas

SHAPE = (2, 1, 3, 3)
STEPS = 6
SCHEDULE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
PREDICTIONS = ("epsilon", "sample", "v_prediction")
CHURN = {"s_churn": 2.0, "s_tmin": 0.1, "s_tmax": 10.0, "s_noise": 1.01}


def k_diffusion_sampling():
    """sampling.py without the package around it, which wants more than it needs."""
    package = types.ModuleType("k_diffusion")
    package.utils = types.ModuleType("k_diffusion.utils")
    package.utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    folder = importlib.util.find_spec("k_diffusion").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("k_diffusion.sampling", folder + "/sampling.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules |= {"k_diffusion": package, "k_diffusion.utils": package.utils, spec.name: module}
    spec.loader.exec_module(module)
    return module


class Given:
    """What all loops of one file share."""

    def __init__(self, seed, noise):
        numbers = Numbers(seed)
        self.start = numbers.normal(*SHAPE)
        self.pattern = numbers.normal(2 * STEPS, *SHAPE)
        self.noise = numbers.normal(noise, *SHAPE)

    def tensors(self):
        return {"start": self.start, "pattern": self.pattern, "noise": self.noise}

    def network(self, x, t, call):
        pattern = self.pattern[call].to(x.dtype)
        return 0.5 * x + pattern + t / 1000


def x0_of(prediction, m, x, sigma):
    """x at signal 1."""
    if prediction == "epsilon":
        return x - sigma * m
    if prediction == "sample":
        return m
    return x / (sigma**2 + 1) - m * sigma / (sigma**2 + 1) ** 0.5


class Table:
    """sigma of each training step in double, and its inverse, linear in the logarithm."""

    def __init__(self):
        betas = exact_betas(SCHEDULE["beta_schedule"], SCHEDULE["beta_start"], SCHEDULE["beta_end"], 1000)
        bar = torch.cumprod(1 - betas, 0).numpy()
        self.sigmas = numpy.sqrt((1 - bar) / bar)

    def t(self, sigma):
        return float(numpy.interp(math.log(sigma), numpy.log(self.sigmas), numpy.arange(1000.0)))


class Asked:
    """A denoiser for k-diffusion that keeps what it is asked."""

    def __init__(self, given, table, prediction, always_first=False):
        self.given, self.table, self.prediction, self.always_first = given, table, prediction, always_first
        self.xs, self.ts = [], []

    def __call__(self, x, sigma):
        sigma = float(sigma[0])
        m = self.given.network(x / (sigma**2 + 1) ** 0.5, self.table.t(sigma), 0 if self.always_first else len(self.xs))
        self.xs.append(x)
        return x0_of(self.prediction, m, x, sigma)


def sigma_lists(sampling, table):
    low, high = float(table.sigmas[0]), float(table.sigmas[-1])
    plain = numpy.interp(numpy.linspace(999, 0, STEPS), numpy.arange(1000.0), table.sigmas)
    return {
        "plain": torch.tensor([*plain, 0.0]),
        "karras": sampling.get_sigmas_karras(STEPS, low, high),
        "open": sampling.get_sigmas_exponential(STEPS, 0.2, high)[:-1],
    }


def k_diffusion_loops():
    torch.set_default_dtype(torch.float64)
    sampling, table, given = k_diffusion_sampling(), Table(), Given(51, 64)
    tensors = given.tensors()
    lists = sigma_lists(sampling, table)
    for name, sigmas in lists.items():
        tensors[f"{name}.sigmas"] = sigmas
        tensors[f"{name}.ts"] = torch.tensor([table.t(s) if s > 0 else -1.0 for s in sigmas.tolist()])

    def loop(key, sampler, **options):
        for name, prediction in [(name, "epsilon") for name in lists] + [("karras", p) for p in PREDICTIONS[1:]]:
            draws = iter(given.noise)
            if "eta" in options:
                options["noise_sampler"] = lambda *_, draws=draws: next(draws)
            normals, torch.randn_like = torch.randn_like, lambda _, draws=draws: next(draws)
            asked = Asked(given, table, prediction)
            last = sampler(asked, given.start * lists[name][0], lists[name], disable=True, **options)
            torch.randn_like = normals
            tensors[f"{key}/{name}/{prediction}"] = torch.stack([*asked.xs, last])

    loop("euler", sampling.sample_euler)
    loop("euler/churn", sampling.sample_euler, **CHURN)
    loop("heun", sampling.sample_heun)
    loop("heun/churn", sampling.sample_heun, **CHURN)
    for eta in (0.0, 0.5, 1.0):
        loop(f"euler_ancestral/eta_{eta}", sampling.sample_euler_ancestral, eta=eta, s_noise=1.01)
        loop(f"dpm_2_ancestral/eta_{eta}", sampling.sample_dpm_2_ancestral, eta=eta, s_noise=1.01)
        loop(f"dpmpp_2s_ancestral/eta_{eta}", sampling.sample_dpmpp_2s_ancestral, eta=eta, s_noise=1.01)
        loop(f"dpmpp_sde/eta_{eta}", sampling.sample_dpmpp_sde, eta=eta, s_noise=1.01)
    loop("dpmpp_sde/r", sampling.sample_dpmpp_sde, eta=1.0, r=0.3)
    loop("dpm_2", sampling.sample_dpm_2)
    loop("dpm_2/churn", sampling.sample_dpm_2, **CHURN)
    for order in range(1, 5):
        loop(f"lms/order_{order}", sampling.sample_lms, order=order)
    k_diffusion_dpm(sampling, table, given, tensors)
    save("diffusion/sigma_k_diffusion.safetensors", tensors, keep_double=True)
    torch.set_default_dtype(torch.float32)


def k_diffusion_dpm(sampling, table, given, tensors):
    """DPM-Solver-fast as the other loops. Of the adaptive solver the end and [accepted, rejected]; its network always
    uses pattern[0], since it is asked again after a rejection."""
    low, high = float(table.sigmas[0]), float(table.sigmas[-1])
    for nfe, eta in itertools.product((6, 7, 8), (0.0, 0.5)):
        asked, draws = Asked(given, table, "epsilon"), iter(given.noise)
        options = {"eta": eta, "s_noise": 1.01, "noise_sampler": lambda *_, draws=draws: next(draws)}
        last = sampling.sample_dpm_fast(asked, given.start * high, low, high, nfe, disable=True, **options)
        tensors[f"dpm_fast/eta_{eta}/{nfe}/epsilon"] = torch.stack([*asked.xs, last])
        sigmas = torch.linspace(-math.log(high), -math.log(low), nfe // 3 + 2).neg().exp()
        tensors[f"dpm_fast_{nfe}.sigmas"] = sigmas
        tensors[f"dpm_fast_{nfe}.ts"] = torch.tensor([table.t(s) for s in sigmas.tolist()])
    adaptive = {"plain": {}, "pid": {"pcoeff": 0.2, "icoeff": 0.6, "dcoeff": 0.1, "rtol": 0.02, "h_init": 2.0}}
    for (name, options), order, eta in itertools.product(adaptive.items(), (2, 3), (0.0, 1.0)):
        asked, draws = Asked(given, table, "v_prediction", always_first=True), iter(given.noise)
        options = options | {"order": order, "eta": eta, "noise_sampler": lambda *_, draws=draws: next(draws)}
        last, info = sampling.sample_dpm_adaptive(
            asked, given.start * high, low, high, disable=True, return_info=True, **options
        )
        key = f"dpm_adaptive/{name}/order_{order}/eta_{eta}"
        tensors[key], tensors[key + ".steps"] = last[None], torch.tensor([info["n_accept"], info["n_reject"]])
        print(key, info)


def sigmas_of(scheduler):
    """The levels between steps, which two-stage schedulers repeat."""
    sigmas = scheduler.sigmas.tolist()
    return [s for k, s in enumerate(sigmas) if k == 0 or s != sigmas[k - 1]]


class Shipped:
    """Loops of diffusers' schedulers as shipped, in float, into the tensors of a file."""

    def __init__(self, given):
        self.given, self.tensors = given, given.tensors()

    def loop(self, key, prediction, scheduler, start, ask, churn=None):
        """ask(x, t, call, sigma) is the network. With churn it is asked about the raised x, as in the paper, though
        diffusers' pipelines would ask before: the step itself is the paper's."""
        scheduler.set_timesteps(STEPS)
        draws = iter(self.given.noise.float())
        drawn = [next(draws)]

        def draw(*_, **__):
            result, drawn[0] = drawn[0], next(draws)
            return result

        scheduler.noise_sampler = sys.modules[type(scheduler).__module__].randn_tensor = draw
        x, xs = start(self.given.start.float(), scheduler.sigmas[0]), []
        for call, t in enumerate(scheduler.timesteps):
            sigma = raised = float(scheduler.sigmas[call])
            if churn and churn["s_tmin"] <= sigma <= churn["s_tmax"]:
                raised = sigma * (1 + min(churn["s_churn"] / STEPS, 2**0.5 - 1))
            elif churn:
                draw()  # so that draw k belongs to step k
            noise = drawn[0] * math.sqrt(raised**2 - sigma**2) * churn["s_noise"] if churn else 0
            xs.append(x + noise)
            m = ask(scheduler, xs[-1], t, call, raised).float()
            x = scheduler.step(m, t, x, **(churn or {})).prev_sample
        ts = scheduler.timesteps.tolist()[:: 2 if scheduler.order == 2 else 1]
        self.tensors[f"{key}/{prediction}"] = torch.stack([*xs, x])
        self.tensors[f"{key}.sigmas"] = torch.tensor(sigmas_of(scheduler))
        self.tensors[f"{key}.ts"] = torch.tensor([*ts, -1.0])

    def preserving(self, name, scheduler_type, predictions=PREDICTIONS, karras=True):
        for prediction, replace in itertools.product(predictions, (False, True) if karras else (False,)):
            options = {"use_karras_sigmas": True} if replace else {}
            self.loop(
                f"{name}/{'karras' if replace else 'plain'}",
                prediction,
                scheduler_type(**SCHEDULE, prediction_type=prediction, **options),
                lambda x, sigma: x * sigma,
                lambda scheduler, x, t, call, _: self.given.network(scheduler.scale_model_input(x, t), t, call),
            )

    def churned(self, table):
        def ask(_, x, t, call, sigma):
            return self.given.network(x / (sigma**2 + 1) ** 0.5, table.t(sigma), call)

        for prediction in ("epsilon", "sample"):  # v mixes both levels' sigmas
            scheduler = EulerDiscreteScheduler(**SCHEDULE, prediction_type=prediction)
            self.loop("euler/churn/plain", prediction, scheduler, lambda x, sigma: x * sigma, ask, CHURN)

    def edm(self):
        def ask(scheduler, x, t, call, sigma):
            scheduler.scale_model_input(x, t)
            return self.given.network(x / (sigma**2 + 0.25) ** 0.5, 0.25 * math.log(sigma), call)

        for prediction, churn in itertools.product(("epsilon", "v_prediction"), (None, CHURN)):
            scheduler = EDMEulerScheduler(prediction_type=prediction)
            key = "edm_euler/churn/karras" if churn else "edm_euler/karras"
            self.loop(key, prediction, scheduler, lambda x, sigma: x * sigma, ask, churn)

    def flow(self):
        for shift in (1.0, 3.0):
            for name, scheduler in (
                ("flow_euler", FlowMatchEulerDiscreteScheduler(shift=shift)),
                ("flow_euler_stochastic", FlowMatchEulerDiscreteScheduler(shift=shift, stochastic_sampling=True)),
                ("flow_heun", FlowMatchHeunDiscreteScheduler(shift=shift)),
            ):
                self.loop(
                    f"{name}/shift_{int(shift)}",
                    "flow_prediction",
                    scheduler,
                    lambda x, _: x,
                    lambda _, x, t, call, __: self.given.network(x, t, call),
                )


def diffusers_loops():
    shipped = Shipped(Given(52, 2 * STEPS + 1))
    no_sample = ("epsilon", "v_prediction")
    shipped.preserving("euler", EulerDiscreteScheduler)
    shipped.preserving("euler_ancestral", EulerAncestralDiscreteScheduler, no_sample, karras=False)
    shipped.preserving("heun", HeunDiscreteScheduler)
    shipped.preserving("dpm_2", KDPM2DiscreteScheduler, no_sample)
    shipped.preserving("dpm_2_ancestral", KDPM2AncestralDiscreteScheduler, no_sample)
    shipped.preserving("lms", LMSDiscreteScheduler)
    shipped.preserving("dpmpp_sde", DPMSolverSDEScheduler, no_sample)
    shipped.churned(Table())
    shipped.edm()
    shipped.flow()
    save("diffusion/sigma_diffusers.safetensors", shipped.tensors)


if __name__ == "__main__":
    k_diffusion_loops()
    diffusers_loops()
