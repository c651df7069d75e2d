"""Golden files of noise levels: beta quantiles (scipy), lists of sigmas (k-diffusion, numpy), two beta schedules.

Needs torch, diffusers, scipy, safetensors, k-diffusion; run: python tests/reference/make_level_goldens.py

Everything is computed in double.
"""

import itertools
import math

import numpy
import scipy.stats
import torch
from diffusers import DDPMScheduler, HeunDiscreteScheduler
from diffusers.schedulers import scheduling_ddpm, scheduling_heun_discrete
from golden import save
from make_sigma_sampler_goldens import k_diffusion_sampling


def quantiles():
    """Rows of (p, a, b, quantile, distribution at p)."""
    parts = [0, 1e-12, 1e-5, 0.01, 0.1, 0.25, 0.5, 0.7, 0.9, 0.99, 1 - 1e-6, 1]
    shapes = [(0.6, 0.6), (0.5, 0.5), (1, 1), (1, 3), (2, 5), (0.2, 4), (12, 0.7), (30, 40), (50, 50)]
    rows = [
        (p, a, b, scipy.stats.beta.ppf(p, a, b), scipy.stats.beta.cdf(p, a, b))
        for p, (a, b) in itertools.product(parts, shapes)
    ]
    return torch.tensor(rows, dtype=torch.float64)


def lists():
    sampling = k_diffusion_sampling()
    low, high = 0.0291671582, 14.6146412293
    ays = numpy.array([14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092])
    ays = numpy.append(ays, [0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582])
    tensors = {}
    for n in (1, 2, 10, 25):
        tensors[f"karras/{n}"] = sampling.get_sigmas_karras(n, low, high)[:-1]
        tensors[f"karras_5/{n}"] = sampling.get_sigmas_karras(n, low, high, rho=5.0)[:-1]
        tensors[f"exponential/{n}"] = sampling.get_sigmas_exponential(n, low, high)[:-1]
        tensors[f"polyexponential_2/{n}"] = sampling.get_sigmas_polyexponential(n, low, high, rho=2.0)[:-1]
        tensors[f"vp/{n}"] = sampling.get_sigmas_vp(n)[:-1]
        u = numpy.linspace(0, 1, n)
        beta = low + scipy.stats.beta.ppf(1 - u, 0.6, 0.6) * (high - low)
        optimal = numpy.tan(u * math.atan(low) + (1 - u) * math.atan(high))
        steps = numpy.interp(numpy.linspace(0, 1, n + 1), numpy.linspace(0, 1, 11), numpy.log(ays))
        tensors[f"beta/{n}"], tensors[f"kl_optimal/{n}"] = torch.from_numpy(beta), torch.from_numpy(optimal)
        tensors[f"ays/{n}"] = torch.from_numpy(numpy.exp(steps[:-1]))
    return tensors


def schedules():
    class Double:
        """torch with float64 for float32."""

        def __getattr__(self, name):
            return getattr(torch, "float64" if name == "float32" else name)

    scheduling_ddpm.torch = scheduling_heun_discrete.torch = Double()
    return {
        "schedule/laplace": DDPMScheduler(beta_schedule="laplace").alphas_cumprod,
        "schedule/exp": HeunDiscreteScheduler(beta_schedule="exp").alphas_cumprod,
    }


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    save("diffusion/levels.safetensors", {"quantiles": quantiles(), **lists(), **schedules()}, keep_double=True)
