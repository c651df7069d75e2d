"""Golden files of PNDM, LCM, TCD, CMStochasticIterative and RePaint of diffusers: whole loops with given noise.

Needs torch, diffusers, safetensors; run: python tests/reference/make_few_step_goldens.py

The "network" of the loops is m = 0.5 * x + pattern[call], so that both sides compute it alike. The loops run diffusers'
own step() in double on double tables; the script checks that its float tables and float arithmetic, as shipped, stay
within 5e-5 of the peak of each step. A loop's tensor holds x after every step, [steps, n, c, h, w], beside it the
training steps that diffusers asks for.
"""

import itertools

import numpy as np
import torch
from diffusers import CMStochasticIterativeScheduler, LCMScheduler, PNDMScheduler, RePaintScheduler, TCDScheduler
from diffusers.schedulers import scheduling_consistency_models, scheduling_lcm, scheduling_repaint, scheduling_tcd

from golden import Numbers, save
from make_scheduler_goldens import check_close, exact_betas

SHAPE = (2, 1, 3, 3)
SPACINGS = ("leading", "linspace", "trailing")
PREDICTIONS = ("epsilon", "sample", "v_prediction")


class Given:
    """What all loops of one file share."""

    def __init__(self, seed, calls=32, draws=0):
        numbers = Numbers(seed)
        self.start = numbers.normal(*SHAPE)
        self.pattern = numbers.normal(calls, *SHAPE)
        self.noise = numbers.normal(draws, *SHAPE)

    def tensors(self):
        given = {"start": self.start, "pattern": self.pattern}
        return given | ({"noise": self.noise} if len(self.noise) else {})

    def network(self, x, call):
        return 0.5 * x + self.pattern[call].to(x.dtype)


def in_double(scheduler):
    """The same scheduler on double tables."""
    config = scheduler.config
    if not hasattr(scheduler, "alphas_cumprod"):
        return scheduler
    betas = exact_betas(config.beta_schedule, config.beta_start, config.beta_end, config.num_train_timesteps)
    scheduler.betas = betas
    scheduler.alphas_cumprod = torch.cumprod(1 - betas, 0)
    one = torch.ones((), dtype=torch.float64)
    scheduler.final_alpha_cumprod = one if config.get("set_alpha_to_one", True) else scheduler.alphas_cumprod[0]
    return scheduler


WORST = {}


def exact(what, run, make, kept=None):
    """run(scheduler, dtype) in double, checked against the scheduler as it is shipped. `kept`: which x to keep."""
    found, shipped = run(in_double(make()), torch.float64), run(make(), torch.float32)
    name = type(make()).__name__
    for step, (ours, theirs) in enumerate(zip(found, shipped)):
        error = check_close(f"{name} {what} step {step}", theirs, ours, 5e-5)
        WORST[name] = max(WORST.get(name, 0.0), error)
    return torch.stack([x for k, x in enumerate(found) if kept is None or k in kept])


def timesteps(scheduler):
    return scheduler.timesteps.to(torch.int32)


def pndm_loops():
    given = Given(61)
    tensors = given.tensors()
    for skip, spacing, prediction, one, count in itertools.product(
        (True, False), SPACINGS, ("epsilon", "v_prediction"), (True, False), (1, 2, 7, 8)
    ):
        if count < 7 and not (skip and prediction == "epsilon" and not one):
            continue
        if count == 8 and one:
            continue
        options = {
            "skip_prk_steps": skip,
            "timestep_spacing": spacing,
            "prediction_type": prediction,
            "set_alpha_to_one": one,
        }

        def run(scheduler, dtype):
            scheduler.set_timesteps(count)
            x, xs = given.start.to(dtype), []
            for call, t in enumerate(scheduler.timesteps.tolist()):
                x = scheduler.step(given.network(x, call), t, x).prev_sample
                xs.append(x)
            return xs

        calls = count + (1 if count > 1 else 0) if skip else count + 9
        ends = range(1 if count > 1 else 0, calls) if skip else [3, 7, 11, *range(12, calls)]
        key = f"{'plms' if skip else 'prk'}/{spacing}/{prediction}/{'one' if one else 'first'}/{count}"
        tensors[key] = exact(key, run, lambda: PNDMScheduler(**options), list(ends))
        if len(tensors[key]) != count:
            raise ValueError(key)
    latent = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
    scheduler = PNDMScheduler(skip_prk_steps=True, **latent)
    scheduler.set_timesteps(50)
    tensors["plms/timesteps"] = timesteps(scheduler)
    scheduler = PNDMScheduler(**latent)
    scheduler.set_timesteps(50)
    tensors["prk/timesteps"] = timesteps(scheduler)
    save("diffusion/pndm.safetensors", tensors, keep_double=True)


def lcm_loops():
    given = Given(62, draws=8)
    tensors = given.tensors()
    clips = {"free": {}, "clip": {"clip_sample": True, "clip_sample_range": 0.8}, "threshold": {"thresholding": True}}
    cases = [(n, "epsilon", "free", 1.0, 50) for n in (1, 2, 4, 8)]
    cases += [(4, prediction, clip, 1.0, 50) for prediction in PREDICTIONS for clip in clips]
    cases += [(4, "epsilon", "free", strength, 50) for strength in (0.1, 0.5, 0.77)]
    cases += [(3, "epsilon", "free", 1.0, original) for original in (7, 30, 1000)]
    for count, prediction, clip, strength, original in cases:
        options = {"prediction_type": prediction, "original_inference_steps": original, **clips[clip]}

        def run(scheduler, dtype):
            scheduler.set_timesteps(count, strength=strength)
            x, xs = given.start.to(dtype), []
            for step, t in enumerate(scheduler.timesteps.tolist()):
                scheduling_lcm.randn_tensor = lambda *a, **b: given.noise[step].to(dtype)
                x = scheduler.step(given.network(x, step), t, x).prev_sample
                xs.append(x)
            return xs

        key = f"{count}/{prediction}/{clip}/{strength}/{original}"
        tensors[key] = exact(key, run, lambda: LCMScheduler(**options))
        scheduler = LCMScheduler(**options)
        scheduler.set_timesteps(count, strength=strength)
        tensors[key + ".timesteps"] = timesteps(scheduler)
    save("diffusion/lcm.safetensors", tensors, keep_double=True)


def tcd_loops():
    given = Given(63, draws=8)
    tensors = given.tensors()
    cases = [(count, "epsilon", 0.3, 1.0) for count in (1, 2, 4, 8)]
    cases += [(4, prediction, eta, 1.0) for prediction in PREDICTIONS for eta in (0.0, 0.3, 1.0)]
    cases += [(4, "epsilon", 0.3, 0.5)]
    own = [999, 670, 350, 90]  # 0.7 * 90 is 63 in float and just below in double
    cases += [("own", "epsilon", 0.3, 1.0)]
    for count, prediction, eta, strength in dict.fromkeys(cases):

        def run(scheduler, dtype):
            if count == "own":
                scheduler.set_timesteps(timesteps=own)
            else:
                scheduler.set_timesteps(count, strength=strength)
            x, xs = given.start.to(dtype), []
            for step, t in enumerate(scheduler.timesteps.tolist()):
                scheduling_tcd.randn_tensor = lambda *a, **b: given.noise[step].to(dtype)
                x = scheduler.step(given.network(x, step), t, x, eta=eta).prev_sample
                xs.append(x)
            return xs

        key = f"{count}/{prediction}/{eta}/{strength}"
        tensors[key] = exact(key, run, lambda: TCDScheduler(prediction_type=prediction))
    save("diffusion/tcd.safetensors", tensors, keep_double=True)


def consistency_loops():
    given = Given(64, draws=8)
    tensors = given.tensors()
    cases = {
        "1": ({"num_inference_steps": 1}, {}),
        "2": ({"num_inference_steps": 2}, {}),
        "5": ({"num_inference_steps": 5}, {}),
        "own": ({"timesteps": [22, 9, 0]}, {}),
        "free": ({"num_inference_steps": 4}, {"clip_denoised": False, "s_noise": 0.9}),
        "other": ({"num_inference_steps": 3}, {"num_train_timesteps": 18, "sigma_min": 0.01, "sigma_max": 20.0}),
    }
    for key, (steps, options) in cases.items():

        def run(scheduler, dtype):
            scheduler.set_timesteps(**steps)
            if dtype == torch.float64:
                sigmas = np.exp(scheduler.timesteps.numpy() / 250)
                scheduler.sigmas = torch.from_numpy(np.append(sigmas, scheduler.config.sigma_min))
            x, xs = given.start.to(dtype) * scheduler.init_noise_sigma, []
            for step, t in enumerate(scheduler.timesteps):
                scheduling_consistency_models.randn_tensor = lambda *a, **b: given.noise[step].to(dtype)
                m = given.network(scheduler.scale_model_input(x, t), step)
                x = scheduler.step(m, t, x).prev_sample
                xs.append(x)
            return xs

        tensors[key] = exact(key, run, lambda: CMStochasticIterativeScheduler(**options))
        scheduler = CMStochasticIterativeScheduler(**options)
        scheduler.set_timesteps(**steps)
        tensors[key + ".timesteps"] = scheduler.timesteps
    save("diffusion/consistency.safetensors", tensors, keep_double=True)


def repaint_loops():
    given = Given(65, calls=64, draws=64)
    numbers = Numbers(66)
    original = numbers.uniform(*SHAPE, low=-1, high=1)
    mask = (numbers.uniform(*SHAPE) > 0.5).double()  # 1 keeps the original
    mask[0, 0, 0, 0] = 0.25
    tensors = given.tensors() | {"original": original, "mask": mask}
    short = {"num_train_timesteps": 8, "beta_start": 0.01, "beta_end": 0.4}
    cases = {
        "2/3/0.0": (short, 8, 2, 3),
        "2/3/1.0": (short, 8, 2, 3),
        "3/2/0.5": (short, 8, 3, 2),
        "1/2/0.0": (short, 8, 1, 2),
        "10/10/0.0": (short, 8, 10, 10),
        "long/0.7": ({}, 7, 10, 10),
    }
    for key, (options, count, length, times) in cases.items():
        eta = float(key.split("/")[-1])

        def run(scheduler, dtype):
            scheduler.set_timesteps(count, length, times)
            scheduler.eta = eta
            x, xs = given.start.to(dtype), []
            last, calls = int(scheduler.timesteps[0]) + 1, 0
            for step, t in enumerate(scheduler.timesteps.tolist()):
                scheduling_repaint.randn_tensor = lambda *a, **b: given.noise[step].to(dtype)
                if t < last:
                    m = given.network(x, calls)
                    x = scheduler.step(m, t, x, original.to(dtype), mask.to(dtype)).prev_sample
                    calls += 1
                else:
                    x = scheduler.undo_step(x, last)
                last = t
                xs.append(x)
            return xs

        tensors[key] = exact(key, run, lambda: RePaintScheduler(**options))
    save("diffusion/repaint.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    pndm_loops()
    lcm_loops()
    tcd_loops()
    consistency_loops()
    repaint_loops()
    for name, error in WORST.items():
        print(f"{name} in float is within {error:.1e} of the peak")
