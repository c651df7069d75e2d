"""Golden files of the multistep and single-step exponential solvers: whole loops with given noise.

Needs torch, diffusers, safetensors, k-diffusion; run: python tests/reference/make_multistep_goldens.py

As in make_scheduler_goldens.py the "network" is m = 0.5 * x + pattern[step]. A loop's name says how it was made:
"<solver>/<option>=<value>/...", with levels=<name> for the levels that lie beside it: <name>/sigmas [steps + 1] as the
scheduler made them (noise at signal 1, but alpha = 1 - sigma where <name> begins with flow), and <name>/t. The tensor
holds x after every step: [steps, n, c, h, w].

The loops run diffusers' own step() in double, on its sigmas (which are floats); the script checks that its arithmetic as
shipped stays within 2e-5 of the peak of each step. k-diffusion's loops run at signal 1 and are stored divided by
sqrt(1 + sigma^2).
"""

import itertools
import sys
import warnings

import diffusers
import torch
from diffusers import (
    DEISMultistepScheduler,
    DPMSolverMultistepInverseScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EDMDPMSolverMultistepScheduler,
    SASolverScheduler,
    UniPCMultistepScheduler,
)

from golden import Numbers, save
from make_sigma_sampler_goldens import k_diffusion_sampling

warnings.filterwarnings("ignore")
diffusers.utils.logging.set_verbosity_error()

SHAPE = (2, 1, 2, 2)
GIVEN_STEPS = 17
PREDICTIONS = ("epsilon", "sample", "v_prediction")
LATENT = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
THRESHOLD = {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 3.0}
SPACINGS = {"linspace": {}, "karras": {"use_karras_sigmas": True}}


class DoubleTorch:
    """torch as a module sees it, with double for its float."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


class Given:
    def __init__(self, seed):
        numbers = Numbers(seed)
        self.start = numbers.normal(*SHAPE)
        self.pattern = numbers.normal(GIVEN_STEPS, *SHAPE)
        self.noise = numbers.normal(GIVEN_STEPS, *SHAPE)

    def tensors(self):
        return {"start": self.start, "pattern": self.pattern, "noise": self.noise}


class File:
    """The loops of one golden file."""

    def __init__(self, name, seed):
        self.name, self.given = name, Given(seed)
        self.tensors, self.worst = self.given.tensors(), 0.0

    def levels(self, name, sigmas, times):
        for key, value in ((f"{name}/sigmas", sigmas), (f"{name}/t", times)):
            known = self.tensors.setdefault(key, value.double())
            if not torch.equal(known, value.double()):
                raise ValueError(f"{key} is of two kinds")

    def add(self, solver, scheduler_type, count, levels, options, extra=None, before=None, tolerance=2e-5):
        """A loop of diffusers. `extra` is said in the name only; before(scheduler) may change it."""
        shown = {**options, **(extra or {})}
        hidden = {"prediction": shown.pop("prediction_type", "epsilon"), "levels": levels}
        for gone in (*LATENT, "use_karras_sigmas", "final_sigmas_type", *THRESHOLD, "use_flow_sigmas", "flow_shift"):
            shown.pop(gone, None)
        if options.get("thresholding"):
            hidden["clip"] = "threshold"
        key = "/".join([solver, *(f"{k}={v}".lower() for k, v in {**shown, **hidden}.items())])
        exact = self.run(scheduler_type, count, levels, options, before, torch.float64)
        shipped = self.run(scheduler_type, count, levels, options, before, torch.float32)
        for k in range(count):
            error = ((shipped[k] - exact[k]).abs().max() / max(1.0, float(exact[k].abs().max()))).item()
            self.worst = max(self.worst, error)
            if not error <= tolerance:
                raise ValueError(f"{key} step {k}: differs by {error}")
        if key in self.tensors:
            raise ValueError(f"{key} is there already")
        self.tensors[key] = exact

    def run(self, scheduler_type, count, levels, options, before, dtype):
        module = sys.modules[scheduler_type.__module__]
        scheduler = scheduler_type(**options)
        scheduler.set_timesteps(count)
        self.levels(levels, scheduler.sigmas, scheduler.timesteps)
        if before is not None:
            before(scheduler)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)
        scheduler.sigmas = scheduler.sigmas.to(dtype)
        names = {"torch": DoubleTorch() if dtype == torch.float64 else torch}
        x, xs = self.given.start.to(dtype), []
        for k, t in enumerate(scheduler.timesteps):
            noise = self.given.noise[k].to(dtype)
            names["randn_tensor"] = lambda *a, noise=noise, **b: noise
            kept = {name: getattr(module, name, None) for name in names}
            for name, value in names.items():
                setattr(module, name, value)
            try:
                m = 0.5 * scheduler.scale_model_input(x, t) + self.given.pattern[k].to(dtype)
                x = scheduler.step(m, t, x).prev_sample
            finally:
                for name, value in kept.items():
                    setattr(module, name, value)
            if x.dtype != dtype:
                raise ValueError(f"{levels}: {x.dtype}")
            xs.append(x.double())
        return torch.stack(xs)

    def write(self):
        save(f"diffusion/{self.name}.safetensors", self.tensors, keep_double=True)
        print(f"{self.name}: diffusers in float is within {self.worst:.1e} of the peak")


def dpm_variants(algorithm):
    """Orders and types that differ."""
    yield {"algorithm_type": algorithm, "solver_order": 1}
    yield {"algorithm_type": algorithm, "solver_order": 2}
    yield {"algorithm_type": algorithm, "solver_order": 2, "solver_type": "heun"}
    if algorithm != "sde-dpmsolver":
        yield {"algorithm_type": algorithm, "solver_order": 3}


def final_of(algorithm):
    """The eps forms refuse to end at no noise."""
    return {} if algorithm.endswith("++") else {"final_sigmas_type": "sigma_min"}


def dpm_multistep():
    file = File("dpm_multistep", 51)

    def add(count, spacing, options, extra=None, **more):
        options = {**LATENT, **SPACINGS[spacing], **options, **more}
        final = options.get("final_sigmas_type", "zero")
        file.add("dpm_multistep", DPMSolverMultistepScheduler, count, f"{spacing}_{final}_{count}", options, extra)

    for algorithm in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"):
        for variant in dpm_variants(algorithm):
            options = {**variant, **final_of(algorithm)}
            for spacing, prediction in itertools.product(SPACINGS, PREDICTIONS):
                add(7, spacing, options, prediction_type=prediction)
            add(16, "linspace", options)
            if algorithm.endswith("++"):  # the others repeat the last sigma there, and diffusers divides by zero
                add(16, "karras", options)
            add(7, "karras", options, **THRESHOLD)
            add(7, "linspace", {**options, "lower_order_final": False})
            add(16, "karras", {**options, "euler_at_final": True})
            if algorithm.endswith("++"):
                add(16, "linspace", options, final_sigmas_type="sigma_min")
    for algorithm in ("dpmsolver++", "sde-dpmsolver++"):
        for variant in dpm_variants(algorithm):
            flow = {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}
            file.add("dpm_multistep", DPMSolverMultistepScheduler, 7, "flow_zero_7", {**variant, **flow})
            if variant["solver_order"] == 3 and algorithm.startswith("sde"):
                continue  # diffusers' EDM scheduler has no such step
            edm = {k: v for k, v in variant.items()}
            file.add("dpm_multistep", EDMDPMSolverMultistepScheduler, 7, "edm_zero_7", edm, {"prediction_type": "edm"})
    for algorithm in ("dpmsolver++", "dpmsolver"):
        for variant in dpm_variants(algorithm):
            for spacing, count in (("linspace", 7), ("karras", 7), ("linspace", 16)):
                options = {**LATENT, **SPACINGS[spacing], **variant}
                file.add(
                    "dpm_multistep", DPMSolverMultistepInverseScheduler, count, f"{spacing}_up_{count}", options
                )
    file.write()


def unipc():
    file = File("unipc", 53)

    def add(count, spacing, options, **more):
        options = {**LATENT, **SPACINGS[spacing], **options, **more}
        final = options.get("final_sigmas_type", "zero")
        file.add("unipc", UniPCMultistepScheduler, count, f"{spacing}_{final}_{count}", options)

    for order, solver_type, x0 in itertools.product((1, 2, 3), ("bh1", "bh2"), (True, False)):
        options = {"solver_order": order, "solver_type": solver_type, "predict_x0": x0}
        if not x0 or solver_type == "bh1":  # diffusers multiplies zero by infinity at no noise
            options["final_sigmas_type"] = "sigma_min"
        for spacing, prediction in itertools.product(SPACINGS, PREDICTIONS):
            add(7, spacing, options, prediction_type=prediction)
        add(16, "linspace", options)
        add(7, "linspace", options, disable_corrector=[0, 3])
        add(7, "linspace", {**options, "final_sigmas_type": "sigma_min"}, lower_order_final=False)
        if x0:
            add(16, "karras", options)
            add(7, "karras", options, **THRESHOLD)
            flow = {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}
            levels = f"flow_{options.get('final_sigmas_type', 'zero')}_7"
            file.add("unipc", UniPCMultistepScheduler, 7, levels, {**options, **flow})
    for order in (4, 5):
        add(7, "karras", {"solver_order": order})
    file.write()


def deis():
    file = File("deis", 54)

    def add(count, spacing, options, **more):
        options = {**LATENT, **SPACINGS[spacing], **options, **more}
        file.add("deis", DEISMultistepScheduler, count, f"{spacing}_{count}", options)

    for order in (1, 2, 3):
        options = {"solver_order": order}
        for spacing, prediction in itertools.product(SPACINGS, PREDICTIONS):
            add(7, spacing, options, prediction_type=prediction)
        add(16, "linspace", options)
        add(7, "karras", options, **THRESHOLD)
        add(7, "linspace", options, lower_order_final=False)
        flow = {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}
        # A float knows four digits of alpha = 1 - 0.99967, by which the first step divides.
        file.add("deis", DEISMultistepScheduler, 7, "flow_7", {**options, **flow}, tolerance=2e-4)
    file.write()


def dpm_singlestep():
    file = File("dpm_singlestep", 55)

    def add(count, spacing, options, **more):
        options = {**LATENT, **SPACINGS[spacing], **options, **more}
        final = options.get("final_sigmas_type", "zero")
        file.add("dpm_singlestep", DPMSolverSinglestepScheduler, count, f"{spacing}_{final}_{count}", options)

    for algorithm in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++"):
        for variant in (*dpm_variants(algorithm), {"algorithm_type": algorithm, "solver_order": 3, "solver_type": "heun"}):
            options = {**variant, **final_of(algorithm)}
            for spacing, prediction in itertools.product(SPACINGS, PREDICTIONS):
                add(7, spacing, options, prediction_type=prediction)
            for count, final in itertools.product((6, 8), ("zero", "sigma_min")):
                if final == "sigma_min" or algorithm.endswith("++"):
                    add(count, "linspace", {**options, "final_sigmas_type": final}, lower_order_final=True)
            add(6, "linspace", {**options, "final_sigmas_type": "sigma_min"})
            add(16, "karras", options)
            if algorithm.endswith("++"):
                add(7, "karras", options, **THRESHOLD)
                flow = {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}
                file.add("dpm_singlestep", DPMSolverSinglestepScheduler, 7, "flow_zero_7", {**options, **flow})
    file.write()


def sa_solver():
    file = File("sa_solver", 56)

    def add(count, spacing, options, taus=None, **more):
        options = {**LATENT, **SPACINGS[spacing], **options, **more}
        extra = dict(zip(("tau", "tau_first", "tau_last"), taus)) if taus else None

        def before(scheduler):
            if taus:
                scheduler.tau_func = lambda t: taus[0] if taus[1] <= t <= taus[2] else 0

        # Its polynomials in lambda itself, not in the distance, cancel in floats.
        high = max(options.get("predictor_order", 2), options.get("corrector_order", 2)) > 2
        tolerance = 2e-3 if high else 2e-5
        file.add("sa_solver", SASolverScheduler, count, f"{spacing}_{count}", options, extra, before, tolerance)

    for kind, (p, c) in itertools.product(
        ("data_prediction", "noise_prediction"), ((1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (2, 3), (3, 3), (3, 4), (4, 4))
    ):
        options = {"predictor_order": p, "corrector_order": c, "algorithm_type": kind}
        add(7, "karras", options)
        add(16, "linspace", options)
        add(7, "linspace", options, (0.6, 100, 900), lower_order_final=False)
    for kind, spacing, prediction in itertools.product(("data_prediction", "noise_prediction"), SPACINGS, PREDICTIONS):
        add(7, spacing, {"algorithm_type": kind, "prediction_type": prediction})
    add(7, "karras", {}, **THRESHOLD)
    flow = {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}
    file.add("sa_solver", SASolverScheduler, 7, "flow_7", flow)
    file.write()


def k_loops():
    file, sampling = File("k_multistep", 52), k_diffusion_sampling()

    def add(function, count, prediction="epsilon", **options):
        scheduler = DPMSolverMultistepScheduler(**LATENT, use_karras_sigmas=True)
        scheduler.set_timesteps(count)
        levels = f"karras_zero_{count}"
        file.levels(levels, scheduler.sigmas, scheduler.timesteps)
        sigmas, given, calls, xs = scheduler.sigmas.double(), file.given, [], []

        def model(x, sigma):
            sigma, k = sigma[0], len(calls)
            calls.append(k)
            root = (1 + sigma**2) ** 0.5
            m = 0.5 * (x / root) + given.pattern[k]
            return x - sigma * m if prediction == "epsilon" else x / root**2 - m * sigma / root

        def seen(state):
            xs.append(state["x"] / (1 + state["sigma"] ** 2) ** 0.5)

        if function != "dpmpp_2m":
            options["noise_sampler"] = lambda *_: given.noise[len(calls) - 1]
        start = given.start * (1 + sigmas[0] ** 2) ** 0.5
        run = getattr(sampling, f"sample_{function}")
        last = run(model, start, sigmas, callback=seen, disable=True, **options)
        options.pop("noise_sampler", None)
        shown = {**options, "prediction": prediction, "levels": levels}
        key = "/".join([function, *(f"{k}={v}" for k, v in shown.items())])
        file.tensors[key] = torch.stack([*xs[1:], last])

    for count, prediction in itertools.product((7, 16), ("epsilon", "v_prediction")):
        add("dpmpp_2m", count, prediction)
        for solver_type, eta, s_noise in (("midpoint", 1, 1), ("heun", 1, 1), ("heun", 0.4, 1.1), ("midpoint", 0, 1)):
            add("dpmpp_2m_sde", count, prediction, solver_type=solver_type, eta=eta, s_noise=s_noise)
        for eta, s_noise in ((1, 1), (0.4, 1.1), (0, 1)):
            add("dpmpp_3m_sde", count, prediction, eta=eta, s_noise=s_noise)
    file.write()


if __name__ == "__main__":
    dpm_multistep()
    k_loops()
    unipc()
    deis()
    dpm_singlestep()
    sa_solver()
