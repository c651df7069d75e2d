"""Golden files of diffusers' DDPM, DDIM and DDIM-inverse schedulers: tables, and whole loops with given noise.

Needs torch, diffusers, safetensors; run: python tests/reference/make_scheduler_goldens.py

The "network" of the loops is m = 0.5 * x + pattern[step], so that both sides compute it alike. The loops run diffusers'
own step() in double on double tables; the script checks that its float tables and float arithmetic, as shipped, stay
within 2e-5 of the peak of each step. Each loop's tensor holds x after every step: [steps, n, c, h, w].

variance_type "fixed_large_log" is left out: diffusers takes the square root of a logarithm there, which is NaN.
"""

import itertools

import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler, DDPMScheduler
from diffusers.schedulers import scheduling_ddpm

from golden import Numbers, save

SHAPE = (2, 1, 4, 4)
STEPS = 7
SPACINGS = ("leading", "linspace", "trailing")
PREDICTIONS = ("epsilon", "sample", "v_prediction")
CLIPS = {
    "free": {"clip_sample": False},
    "clip": {"clip_sample": True},
    "threshold": {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 3.0},
}


def exact_betas(name, start, end, count):
    """diffusers' tables in double."""
    if name == "linear":
        return torch.linspace(start, end, count, dtype=torch.float64)
    if name == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    if name == "sigmoid":
        return torch.sigmoid(torch.linspace(-6, 6, count, dtype=torch.float64)) * (end - start) + start
    u = torch.arange(count + 1, dtype=torch.float64) / count
    bar = torch.cos((u + 0.008) / 1.008 * torch.pi / 2) ** 2
    return (1 - bar[1:] / bar[:-1]).clamp(max=0.999)


def exact_alphas_cumprod(config):
    betas = exact_betas(config.beta_schedule, config.beta_start, config.beta_end, config.num_train_timesteps)
    alphas = torch.cumprod(1 - betas, 0)
    if config.rescale_betas_zero_snr:
        root = alphas.sqrt()
        alphas = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return alphas


def in_double(scheduler):
    """The same scheduler on double tables."""
    alphas = exact_alphas_cumprod(scheduler.config)
    scheduler.alphas_cumprod = alphas
    scheduler.one = torch.ones((), dtype=torch.float64)
    for name in ("final_alpha_cumprod", "initial_alpha_cumprod"):
        if hasattr(scheduler, name):
            setattr(scheduler, name, torch.ones_like(alphas[0]) if scheduler.config.set_alpha_to_one else alphas[0])
    return scheduler


def tables():
    tensors = {}
    for name, start, end, count, rescale in (
        ("linear", 1e-4, 0.02, 1000, False),
        ("linear", 1e-4, 0.02, 50, False),
        ("scaled_linear", 0.00085, 0.012, 1000, False),
        ("squaredcos_cap_v2", 1e-4, 0.02, 1000, False),
        ("squaredcos_cap_v2", 1e-4, 0.02, 100, False),
        ("sigmoid", 1e-4, 0.02, 1000, False),
        ("linear", 1e-4, 0.02, 1000, True),
        ("scaled_linear", 0.00085, 0.012, 1000, True),
        ("sigmoid", 1e-4, 0.02, 1000, True),
    ):
        scheduler = DDPMScheduler(count, start, end, name, rescale_betas_zero_snr=rescale)
        key = f"{name}/{count}" + ("/zero_snr" if rescale else "")
        tensors[key] = exact_alphas_cumprod(scheduler.config)
        tensors[key + ".diffusers"] = scheduler.alphas_cumprod
        check_close(key, scheduler.alphas_cumprod, tensors[key], 2e-6)
    save("diffusion/schedules.safetensors", tensors, keep_double=True)


def check_close(what, found, exact, tolerance):
    error = ((found.double() - exact).abs().max() / max(1.0, float(exact.abs().max()))).item()
    if not error <= tolerance:
        raise ValueError(f"{what}: differs by {error}")
    return error


def timesteps():
    tensors = {}
    counts = (1, 2, 3, 5, 7, 10, 20, 30, 50, 99, 250, 333, 600, 1000)
    for count, spacing, offset in itertools.product(counts, SPACINGS, (0, 1)):
        if offset == 1 and (spacing != "leading" or count == 1000):
            continue
        options = {"timestep_spacing": spacing, "steps_offset": offset}
        ddpm, ddim, inverse = DDPMScheduler(**options), DDIMScheduler(**options), DDIMInverseScheduler(**options)
        ddpm.set_timesteps(count)
        ddim.set_timesteps(count)
        if not torch.equal(ddpm.timesteps, ddim.timesteps):
            raise ValueError("DDPM and DDIM differ")
        if spacing != "linspace":
            inverse.set_timesteps(count)
            if not torch.equal(inverse.timesteps, ddpm.timesteps.flip(0)):
                raise ValueError("the inverse differs")
        tensors[f"{spacing}/{count}" + ("/offset" if offset else "")] = ddpm.timesteps.to(torch.int32)
    save("diffusion/timesteps.safetensors", tensors)


class Given:
    """What all loops of one file share."""

    def __init__(self, seed, steps=STEPS):
        numbers = Numbers(seed)
        self.start = numbers.normal(*SHAPE)
        self.pattern = numbers.normal(steps, *SHAPE)
        self.noise = numbers.normal(steps, *SHAPE)
        self.variance = {
            "learned": numbers.uniform(steps, *SHAPE, low=0.001, high=0.1),
            "learned_range": numbers.uniform(steps, *SHAPE, low=-1, high=1),
        }

    def tensors(self, prefix=""):
        given = {"start": self.start, "pattern": self.pattern, "noise": self.noise}
        return {prefix + k: v for k, v in {**given, **self.variance}.items()}


WORST = {"error": 0.0}


def loop(scheduler_type, given, count, step_options=None, **config):
    """x after each step in double, checked against the scheduler as it is shipped."""

    def run(scheduler, dtype):
        scheduler.set_timesteps(count)
        x, xs = given.start.to(dtype), []
        for k, t in enumerate(scheduler.timesteps.tolist()):
            noise = given.noise[k].to(dtype)
            m = 0.5 * x + given.pattern[k].to(dtype)
            options = dict(step_options or {})
            if scheduler_type is DDIMScheduler:
                options["variance_noise"] = noise
            kind = config.get("variance_type")
            if kind in given.variance:
                m = torch.cat([m, given.variance[kind][k].to(dtype)], dim=1)
            scheduling_ddpm.randn_tensor = lambda *a, noise=noise, **b: noise
            x = scheduler.step(m, t, x, **options).prev_sample
            xs.append(x)
        return torch.stack(xs)

    exact = run(in_double(scheduler_type(**config)), torch.float64)
    shipped = run(scheduler_type(**config), torch.float32)
    # The inverse divides by sqrt(1 - alphas_cumprod[0]) = 0.01 there, of which a float knows three digits.
    rough = scheduler_type is DDIMInverseScheduler and config["prediction_type"] == "sample"
    errors = [check_close(f"{config} step {k}", shipped[k], exact[k], 5e-4 if rough else 2e-5) for k in range(count)]
    if not rough:
        WORST["error"] = max(WORST["error"], *errors)
    return exact


def ddpm_loops():
    given = Given(41)
    tensors = given.tensors()
    kinds = ("fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range")
    for kind, spacing, prediction, clip in itertools.product(kinds, SPACINGS, PREDICTIONS, CLIPS):
        options = {"variance_type": kind, "timestep_spacing": spacing, "prediction_type": prediction, **CLIPS[clip]}
        tensors[f"{kind}/{spacing}/{prediction}/{clip}"] = loop(DDPMScheduler, given, STEPS, **options)
    for schedule in ("scaled_linear", "squaredcos_cap_v2", "sigmoid"):
        options = {"variance_type": "fixed_small", "beta_schedule": schedule, "clip_sample_range": 0.7}
        tensors[f"schedule/{schedule}"] = loop(DDPMScheduler, given, STEPS, **options)
    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    tensors["zero_snr"] = loop(DDPMScheduler, given, STEPS, clip_sample=False, **zero)
    tensors["offset"] = loop(DDPMScheduler, given, STEPS, steps_offset=1)
    tensors["threshold_default"] = loop(DDPMScheduler, given, STEPS, thresholding=True)
    save("diffusion/ddpm.safetensors", tensors)


def ddim_loops():
    given = Given(42)
    tensors = given.tensors()
    for spacing, prediction, clip, eta, again, one in itertools.product(
        SPACINGS, PREDICTIONS, CLIPS, (0.0, 0.5, 1.0), (False, True), (False, True)
    ):
        options = {"timestep_spacing": spacing, "prediction_type": prediction, "set_alpha_to_one": one, **CLIPS[clip]}
        step_options = {"eta": eta, "use_clipped_model_output": again}
        key = f"{spacing}/{prediction}/{clip}/eta_{eta}/{'clipped' if again else 'said'}/{'one' if one else 'first'}"
        tensors[key] = loop(DDIMScheduler, given, STEPS, step_options, **options)
    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    for eta in (0.0, 1.0):
        tensors[f"zero_snr/eta_{eta}"] = loop(DDIMScheduler, given, STEPS, {"eta": eta}, clip_sample=False, **zero)
    latent = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
    latent |= {"clip_sample": False, "set_alpha_to_one": False}
    tensors["latent"] = loop(DDIMScheduler, given, STEPS, **latent)
    save("diffusion/ddim.safetensors", tensors)


def inverse_loops():
    given = Given(43)
    tensors = given.tensors()
    clips = {k: v for k, v in CLIPS.items() if k != "threshold"}  # the inverse scheduler has none
    for spacing, prediction, clip, one in itertools.product(("leading", "trailing"), PREDICTIONS, clips, (False, True)):
        if prediction == "sample" and one:
            continue  # the first level has no noise to divide by
        options = {"timestep_spacing": spacing, "prediction_type": prediction, "set_alpha_to_one": one, **clips[clip]}
        tensors[f"{spacing}/{prediction}/{clip}/{'one' if one else 'first'}"] = loop(
            DDIMInverseScheduler, given, STEPS, **options
        )
    save("diffusion/ddim_inverse.safetensors", tensors)


def all_steps():
    """DDIM with eta = 1 over all steps is DDPM: both loops over a table of 25 levels."""
    given = Given(44, steps=25)
    tensors = given.tensors()
    short = {"num_train_timesteps": 25, "beta_start": 0.004, "beta_end": 0.3, "clip_sample": False}
    ddpm = loop(DDPMScheduler, given, 25, **short)
    ddim = loop(DDIMScheduler, given, 25, {"eta": 1.0}, **short)
    print("eta = 1 and DDPM differ by", check_close("eta = 1", ddim, ddpm, 1e-12))
    tensors["ddpm"], tensors["ddim"] = ddpm, ddim
    save("diffusion/all_steps.safetensors", tensors)


if __name__ == "__main__":
    tables()
    timesteps()
    ddpm_loops()
    ddim_loops()
    inverse_loops()
    all_steps()
    print("diffusers in float is within", WORST["error"], "of the peak")
