"""Golden files of PyTorch's CPU generator, and of pictures that diffusers and k-diffusion make from a seed alone.

Needs torch, diffusers, safetensors, scipy, torchsde, torchdiffeq, and k-diffusion (of which only sampling.py is
loaded); run: python tests/reference/make_rng_goldens.py

"again" is a second run with the generators as the first one left them: what it drew in vain shows there.

Long draws are stored as their ends, sum, sum of squares, and a hash (FNV-1a over 8 bytes each) of their integers.
"""

import itertools

import torch
import torchsde
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    LCMScheduler,
    SASolverScheduler,
    TCDScheduler,
)
from diffusers.utils.torch_utils import randn_tensor

from golden import save
from make_scheduler_goldens import exact_alphas_cumprod
from make_sigma_sampler_goldens import k_diffusion_sampling

SEEDS = (0, 42, 2**32 - 1, 2**63)
SIZES = (1, 15, 16, 17, 31, 32)
LONG = 16384
DTYPES = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16}
BITS = {"f32": 24, "f64": 53}


def hashed(integers):
    value = 0xCBF29CE484222325
    for integer in integers:
        for byte in (integer % 2**64).to_bytes(8, "little"):
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return torch.tensor([value - 2**64 if value >= 2**63 else value])


def ends(tensor):
    return torch.cat([tensor[:32], tensor[-32:]])


def sums(tensor):
    exact = tensor.double()
    return torch.stack([exact.sum(), exact.square().sum()])


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def draws(tensors, name, seed):
    dtype = DTYPES[name]
    for size in (*SIZES, LONG):
        key = f"{name}/{seed}/{size}"
        generator = seeded(seed)
        normals = torch.randn(size, generator=generator, dtype=dtype)
        tensors[f"next/{key}"] = torch.rand(1, generator=generator)
        uniforms = torch.rand(size, generator=seeded(seed), dtype=dtype)
        if size < LONG:
            tensors[f"randn/{key}"] = normals
            tensors[f"rand/{key}"] = uniforms
            continue
        tensors[f"randn/{key}"], tensors[f"randn/{key}.sums"] = ends(normals), sums(normals)
        tensors[f"rand/{key}"], tensors[f"rand/{key}.sums"] = ends(uniforms), sums(uniforms)
        if name in BITS:
            tensors[f"rand/{key}.hash"] = hashed(int(u * 2 ** BITS[name]) for u in uniforms.tolist())


def integers(tensors, seed):
    for low, high in ((0, 10), (-5, 2**28 - 6), (-5, 2**28 - 5), (0, 2**32), (-(2**63), 2**63 - 1)):
        tensors[f"randint/{seed}/{low}/{high}"] = torch.randint(low, high, (9,), generator=seeded(seed))
    for count in (1, 2, 10, 100):
        tensors[f"randperm/{seed}/{count}"] = torch.randperm(count, generator=seeded(seed))
    tensors[f"randperm/{seed}/30000.hash"] = hashed(torch.randperm(30000, generator=seeded(seed)).tolist())


def mixed(tensors):
    """Calls of many kinds on one generator."""
    generator = seeded(7)
    calls = [
        torch.randn(5, generator=generator),
        torch.randn(2, generator=generator, dtype=torch.float64),
        torch.randn(17, generator=generator),
        torch.rand(3, generator=generator, dtype=torch.float64),
        torch.randperm(6, generator=generator).double(),
        torch.randn(1, generator=generator, dtype=torch.float16),
        torch.randint(0, 2**30, (2,), generator=generator).double(),
        torch.randn(21, generator=generator, dtype=torch.bfloat16),
        torch.randn(3, generator=generator),
    ]
    tensors["mixed"] = torch.cat([call.double() for call in calls])


def generator_goldens():
    tensors = {}
    for seed in SEEDS:
        for name in DTYPES:
            draws(tensors, name, seed)
        integers(tensors, seed)
    mixed(tensors)
    save("rng_torch.safetensors", tensors, keep_double=True)


SHAPE = (2, 4, 3, 5)  # neither a picture nor the batch is a multiple of 16
STEPS = 5
SCHEDULE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def network(x):
    return x / (1 + x * x)


def from_diffusers(scheduler, generator, step_options=None):
    """A pipeline's loop: x is drawn, then whatever the scheduler draws. The last x."""
    scheduler.set_timesteps(STEPS)
    x = randn_tensor(SHAPE, generator=generator) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        m = network(scheduler.scale_model_input(x, t))
        x = scheduler.step(m, t, x, generator=generator, **(step_options or {})).prev_sample
    return x


def diffusers_goldens(tensors):
    sde = {"algorithm_type": "sde-dpmsolver++", **SCHEDULE}
    cases = {
        "ddpm": (DDPMScheduler(clip_sample=False, **SCHEDULE), None),
        "ddim": (DDIMScheduler(clip_sample=False, **SCHEDULE), {"eta": 1.0}),
        "euler_ancestral": (EulerAncestralDiscreteScheduler(**SCHEDULE), None),
        "kdpm2_ancestral": (KDPM2AncestralDiscreteScheduler(**SCHEDULE), None),
        "dpm_sde": (DPMSolverMultistepScheduler(**sde), None),
        "lcm": (LCMScheduler(**SCHEDULE), None),
        "tcd": (TCDScheduler(**SCHEDULE), {"eta": 0.3}),
        "sa_solver": (SASolverScheduler(**SCHEDULE), None),
    }
    for name, (scheduler, options) in cases.items():
        one, many = seeded(5), [seeded(5), seeded(6)]
        for key, generator in (("one", one), ("one_again", one), ("list", many), ("list_again", many)):
            tensors[f"diffusers/{name}/{key}"] = from_diffusers(scheduler, generator, options)


def log_linear_sigmas():
    """k-diffusion's, in float as it holds them."""
    alphas = exact_alphas_cumprod(DDPMScheduler(**SCHEDULE).config)
    logs = ((1 - alphas) / alphas).log() / 2
    steps = torch.linspace(999, 0, STEPS, dtype=torch.float64)
    below = steps.floor().long()
    part = steps - below
    sigmas = ((1 - part) * logs[below] + part * logs[(below + 1).clamp(max=999)]).exp()
    return torch.cat([sigmas, torch.zeros(1)]).float()


def denoised(x, sigma):
    sigma = sigma[:, None, None, None]
    return x - sigma * network(x / (sigma**2 + 1).sqrt())


def k_diffusion_goldens(tensors, sampling):
    """Its functions draw from the global generator, here after the x that they start from."""
    sigmas = log_linear_sigmas()
    for name in ("euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_2m"):
        sampler = getattr(sampling, f"sample_{name}")
        torch.manual_seed(5)
        for key in ("one", "one_again"):
            x = torch.randn(SHAPE) * sigmas[0]
            tensors[f"k_diffusion/{name}/{key}"] = sampler(denoised, x, sigmas, disable=True)


def tree_goldens(tensors, sampling):
    """The same with torchsde's trees, one for the batch or one for each picture; and a tree by itself."""
    sigmas = log_linear_sigmas()
    tensors["k_diffusion/sigmas"] = sigmas
    for name, seeds in itertools.product(("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"), (2**40 + 5, [5, 6])):
        sampler = getattr(sampling, f"sample_{name}")
        x = torch.randn(SHAPE, generator=seeded(5)) * sigmas[0]
        tree = sampling.BrownianTreeNoiseSampler(x, sigmas[-2], sigmas[0], seed=seeds)
        key = "list" if isinstance(seeds, list) else "one"
        tensors[f"trees/{name}/{key}"] = sampler(denoised, x, sigmas, noise_sampler=tree, disable=True)
    tree = torchsde.BrownianTree(0.03, torch.zeros(20), 14.6146, entropy=2**33 + 1)
    for ta, tb in ((0.03, 14.6146), (0.5, 0.500001), (0.4999994, 7.3), (3, 4), (14, 15)):
        tensors[f"tree/{ta}/{tb}"] = tree(ta, min(tb, 14.6146))


def picture_goldens():
    tensors = {}
    diffusers_goldens(tensors)
    sampling = k_diffusion_sampling()
    k_diffusion_goldens(tensors, sampling)
    tree_goldens(tensors, sampling)
    save("diffusion/same_seed.safetensors", tensors)


if __name__ == "__main__":
    generator_goldens()
    picture_goldens()
