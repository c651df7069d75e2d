"""Golden loops of the samplers that walk along sigma: k-diffusion's, in double, and diffusers', in float as shipped.

Needs torch, diffusers, safetensors, scipy, torchsde, torchdiffeq, and k-diffusion (of which only sampling.py is loaded);
run: python tests/reference/make_sigma_sampler_goldens.py

The "network" is m = 0.5 * x + pattern[call] + t / 1000, x being the variance-preserving picture (for flow matching, and
EDM: see there). Noise is given: draw d of step k is noise[k * draws + d]. A loop's tensor holds every x that the network
was asked about, and the last x: [calls + 1, n, c, h, w], at signal 1 (x / alpha), for flow matching as it is.
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
        pattern = self.pattern[call % len(self.pattern)].to(x.dtype)
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

    def __init__(self, given, table, prediction):
        self.given, self.table, self.prediction = given, table, prediction
        self.xs, self.ts = [], []

    def __call__(self, x, sigma):
        sigma = float(sigma[0])
        m = self.given.network(x / (sigma**2 + 1) ** 0.5, self.table.t(sigma), len(self.xs))
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
    sampling, table, given = k_diffusion_sampling(), Table(), Given(51, 2 * STEPS)
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
    save("diffusion/sigma_k_diffusion.safetensors", tensors, keep_double=True)
    torch.set_default_dtype(torch.float32)


def sigmas_of(scheduler):
    """The levels between steps, which two-stage schedulers repeat."""
    sigmas = scheduler.sigmas.tolist()
    return [s for k, s in enumerate(sigmas) if k == 0 or s != sigmas[k - 1]]


def diffusers_loop(given, scheduler_type, prediction, **config):
    """x at signal 1 before each question and at the end; levels; as shipped, in float."""
    scheduler = scheduler_type(**SCHEDULE, prediction_type=prediction, **config)
    scheduler.set_timesteps(STEPS)
    step, module = 0, sys.modules[scheduler_type.__module__]
    two = scheduler.order == 2
    draws = iter(given.noise.float())
    scheduler.noise_sampler = lambda *_: next(draws)
    module.randn_tensor = lambda *_, **__: next(draws)
    x, xs = given.start.float() * scheduler.sigmas[0], []
    for call, t in enumerate(scheduler.timesteps):
        xs.append(x)
        m = given.network(scheduler.scale_model_input(x, t), t, call).float()
        x = scheduler.step(m, t, x).prev_sample
    ts = scheduler.timesteps.tolist()[:: 2 if two else 1]
    return torch.stack([*xs, x]), torch.tensor(sigmas_of(scheduler)), torch.tensor([*ts, -1.0])


def diffusers_loops():
    given = Given(52, 2 * STEPS)
    tensors = given.tensors()

    def loop(key, scheduler_type, predictions=PREDICTIONS, karras=True):
        for prediction, replace in itertools.product(predictions, (False, True) if karras else (False,)):
            options = {"use_karras_sigmas": True} if replace else {}
            xs, sigmas, ts = diffusers_loop(given, scheduler_type, prediction, **options)
            name = f"{key}/{'karras' if replace else 'plain'}"
            tensors[f"{name}/{prediction}"], tensors[f"{name}.sigmas"], tensors[f"{name}.ts"] = xs, sigmas, ts

    no_sample = ("epsilon", "v_prediction")
    loop("euler", EulerDiscreteScheduler)
    loop("euler_ancestral", EulerAncestralDiscreteScheduler, no_sample, karras=False)
    loop("heun", HeunDiscreteScheduler)
    loop("dpm_2", KDPM2DiscreteScheduler, no_sample)
    loop("dpm_2_ancestral", KDPM2AncestralDiscreteScheduler, no_sample)
    loop("lms", LMSDiscreteScheduler)
    loop("dpmpp_sde", DPMSolverSDEScheduler, no_sample)
    save("diffusion/sigma_diffusers.safetensors", tensors)


if __name__ == "__main__":
    k_diffusion_loops()
    diffusers_loops()
