"""Golden files of diffusers' scheduler configurations: whole loops for every class, prediction type, spacing and list
of sigmas that diffusers allows, levels for few and many steps, and each class's configuration loaded as every other's.

Needs torch, diffusers, scipy, safetensors; run: python tests/reference/make_config_goldens.py

The "network" is m = 0.5 * x_in + pattern[call] * (1 + t / 1000) with x_in = scale_model_input(x), so that it also sees
which t it is told. The loops run diffusers' own code in double (its modules get a torch and a numpy whose float32 is
float64); the script checks that the classes as shipped, in float, stay near. Each case holds x after every step of the
sampler, in the frame of the class. The levels are the t and sigma of each step, and init_noise_sigma.

Two things of diffusers are not followed, see TWEAKS below.
"""

import importlib
import itertools
import json
import sys
import warnings

import diffusers
import numpy
import torch
from golden import GOLDEN, Numbers, save

diffusers.logging.set_verbosity_error()
warnings.filterwarnings("ignore")

SHAPE = (2, 1, 2, 2)
MOST = 20  # steps of a loop
STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SPACINGS = ("leading", "linspace", "trailing")
LISTS = ("", "karras", "exponential", "beta")
TWO_CALLS = ("Heun", "KDPM2", "DPMSolverSDE", "FlowMatchHeun")


class Wide:
    """A library whose float32 is float64."""

    def __init__(self, library):
        self.library = library

    def __getattr__(self, name):
        return getattr(self.library, "float64" if name == "float32" else name)


def module_of(name):
    return importlib.import_module(getattr(diffusers, name).__module__)


class InDouble:
    """diffusers in double, within a with block."""

    def __enter__(self):
        torch.set_default_dtype(torch.float64)
        self.kept = []
        for name in NAMES:
            module = module_of(name)
            for library in ("torch", "np"):
                if hasattr(module, library) and not isinstance(getattr(module, library), Wide):
                    self.kept.append((module, library, getattr(module, library)))
                    setattr(module, library, Wide(getattr(module, library)))

    def __exit__(self, *_):
        torch.set_default_dtype(torch.float32)
        for module, library, value in self.kept:
            setattr(module, library, value)


NAMES = [
    "DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler",
    "HeunDiscreteScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
    "DEISMultistepScheduler", "UniPCMultistepScheduler", "DPMSolverSDEScheduler", "EDMEulerScheduler",
    "EDMDPMSolverMultistepScheduler", "DDIMInverseScheduler", "SASolverScheduler", "LCMScheduler", "TCDScheduler",
    "CMStochasticIterativeScheduler", "FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler",
]  # fmt: skip
GROUP = NAMES[:15]  # load each other's configurations


def make(case):
    """The scheduler of a case: its configuration, perhaps loaded as another class."""
    config = dict(case["config"])
    cls = getattr(diffusers, case.get("as", config["_class_name"]))
    scheduler = cls.from_config(config)
    # TWEAK 1: a step that is whole but for rounding errors counts as whole. As shipped, 998.9999999 becomes 998.
    if hasattr(scheduler, "_sigma_to_t") and not cls.__name__.startswith("FlowMatch"):
        plain = type(scheduler)._sigma_to_t

        def whole(sigma, log_sigmas):
            t = numpy.asarray(plain(scheduler, numpy.asarray(sigma), numpy.asarray(log_sigmas)))
            return numpy.where(abs(t - t.round()) < 1e-6, t.round(), t)

        scheduler._sigma_to_t = whole
    # TWEAK 2: steps are counted. As shipped, a list whose first entry comes twice is begun at the second one.
    options = {k: case[k] for k in ("timesteps", "sigmas", "mu") if k in case}
    if "timesteps" not in case and "sigmas" not in case:
        options["num_inference_steps"] = case["steps"]
    scheduler.set_timesteps(**options)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    return scheduler


def calls_of(scheduler):
    """How many calls of step() make each step of a sampler."""
    name, calls = type(scheduler).__name__, len(scheduler.timesteps)
    if name.startswith(TWO_CALLS):
        return [2] * (calls // 2) + [1] * (calls % 2)
    if name == "PNDMScheduler":
        # One step has no second question in diffusers' list of one.
        first = [2] if scheduler.config.skip_prk_steps else [4, 4, 4]
        return first + [1] * (calls - sum(first))
    return [1] * calls


class Given:
    def __init__(self, seed, shape=SHAPE, most=MOST):
        numbers = Numbers(seed)
        self.start = numbers.normal(*shape)
        self.pattern = numbers.normal(2 * most, *shape)
        self.noise = numbers.normal(2 * most, *shape)  # two draws a step

    def tensors(self):
        return {"start": self.start, "pattern": self.pattern, "noise": self.noise}


def loop(case, given, dtype, network=None):
    scheduler = make(case)
    module = importlib.import_module(type(scheduler).__module__)
    x = given.start.to(dtype) * scheduler.init_noise_sigma if hasattr(scheduler, "init_noise_sigma") else None
    x = given.start.to(dtype) if x is None else x
    if type(scheduler).__name__ == "FlowMatchHeunDiscreteScheduler":
        x = given.start.to(dtype)
    call, xs = 0, []
    for step, count in enumerate(calls_of(scheduler)):
        draws = iter([given.noise[2 * step].to(dtype), given.noise[2 * step + 1].to(dtype)])
        module.randn_tensor = lambda *a, draws=draws, **b: next(draws)
        scheduler.noise_sampler = lambda *a, draws=draws: next(draws)
        for _ in range(count):
            t = scheduler.timesteps[call]
            x_in = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            if network is None:
                m = 0.5 * x_in + given.pattern[call].to(dtype) * (1 + float(t) / 1000)
            else:
                m = network(x_in, t).sample
            x = scheduler.step(m, t, x).prev_sample
            call += 1
        xs.append(x)
    return torch.stack(xs), scheduler


WORST = {}


def run(case, given):
    """x after each step, in double, checked against diffusers as it is shipped."""
    with InDouble():
        exact, scheduler = loop(case, given, torch.float64)
    if not exact.isfinite().all():
        raise ValueError(f"{case}: not finite")
    rough, shipped = loop(case, given, torch.float32)
    if not torch.equal(shipped.timesteps.double().round(), scheduler.timesteps.double().round()):
        return exact  # see TWEAK 1
    name = type(scheduler).__name__
    error = max(((a.double() - b).abs().max() / b.abs().max().clamp(min=1)).item() for a, b in zip(rough, exact))
    WORST[name] = max(WORST.get(name, 0), error)
    # An epsilon at sigma 1 - 1e-6 of a flow is divided by 1e-6 there.
    rounds = case["config"].get("use_flow_sigmas") and case["config"]["prediction_type"] == "epsilon"
    if error > (2e-2 if rounds else 3e-4):
        raise ValueError(f"{case}: in float it differs by {error}")
    return exact


def config(name, **settings):
    return {"_class_name": name, **settings}


def listed(name):
    return {f"use_{name}_sigmas": True} if name else {}


def grid_of(name, predictions, lists=LISTS, spacings=SPACINGS, steps=6, **fixed):
    for prediction, spacing, one in itertools.product(predictions, spacings or ("",), lists):
        settings = {**fixed, "prediction_type": prediction, **listed(one)}
        if spacing:
            settings["timestep_spacing"] = spacing
        yield {"config": config(name, **settings), "steps": steps}


def one(name, steps=6, given=None, **settings):
    return {"config": config(name, **settings), "steps": steps, **(given or {})}


ALL, TWO = ("epsilon", "sample", "v_prediction"), ("epsilon", "v_prediction")


def euler_family():
    yield from grid_of("LMSDiscreteScheduler", ALL, **STABLE)
    yield from grid_of("EulerDiscreteScheduler", ALL, **STABLE)
    yield from grid_of("HeunDiscreteScheduler", ALL, **STABLE)
    yield from grid_of("KDPM2DiscreteScheduler", TWO, **STABLE)
    yield from grid_of("KDPM2AncestralDiscreteScheduler", TWO, **STABLE)
    yield from grid_of("DPMSolverSDEScheduler", TWO, **STABLE)
    yield from grid_of("EulerAncestralDiscreteScheduler", TWO, lists=("",), **STABLE)
    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    for name in ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"):
        yield one(name, **zero, **STABLE)
        yield one(name, beta_schedule="squaredcos_cap_v2")
        yield one(name, timestep_spacing="leading", steps_offset=1)
        yield one(name, steps=1, timestep_spacing="trailing")
    euler = "EulerDiscreteScheduler"
    for more in (
        {},
        {"use_karras_sigmas": True},
        {"final_sigmas_type": "sigma_min"},
        {"sigma_min": 0.1, "sigma_max": 9.0, "use_karras_sigmas": True},
        {"sigma_min": 0.1, "use_beta_sigmas": True},
        {"sigma_max": 9.0, "use_exponential_sigmas": True},
    ):
        yield one(euler, **more, **STABLE)
        yield one(
            euler,
            final_sigmas_type="sigma_min",
            timestep_spacing="trailing",
            **{k: v for k, v in more.items() if k != "final_sigmas_type"},
        )
        if "final_sigmas_type" not in more:
            yield one(euler, interpolation_type="log_linear", **more, **STABLE)
            yield one(euler, timestep_type="continuous", prediction_type="v_prediction", **more, **STABLE)
    yield one(
        euler, trained_betas=[0.001 * (k + 1) for k in range(50)], num_train_timesteps=50, timestep_spacing="trailing"
    )
    yield one(euler, given={"timesteps": [950, 700, 333, 40]}, steps=0, **STABLE)
    yield one(euler, given={"sigmas": [14.0, 5.0, 1.25, 0.3, 0.0]}, steps=0, **STABLE)
    yield one("HeunDiscreteScheduler", given={"timesteps": [950, 700, 333, 40]}, steps=0, **STABLE)
    yield one("HeunDiscreteScheduler", clip_sample=True, clip_sample_range=0.8)
    yield one("HeunDiscreteScheduler", beta_schedule="exp", timestep_spacing="trailing")
    for name in (
        "LMSDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "DPMSolverSDEScheduler",
    ):
        yield one(name)
        yield one(name, steps=12, timestep_spacing="leading", steps_offset=1, use_karras_sigmas=True)


def whole_steps():
    yield from grid_of("DDIMScheduler", ALL, lists=("",), **STABLE)
    yield from grid_of("DDPMScheduler", ALL, lists=("",), **STABLE)
    yield from grid_of("PNDMScheduler", TWO, lists=("",), skip_prk_steps=True, **STABLE)
    yield from grid_of("PNDMScheduler", TWO, lists=("",), spacings=("leading", "trailing"), steps=10, **STABLE)
    yield from grid_of("DDIMInverseScheduler", TWO, lists=("",), spacings=("leading", "trailing"), **STABLE)
    yield one("DDIMScheduler", set_alpha_to_one=False, steps_offset=1, clip_sample=False, **STABLE)
    yield one("DDIMScheduler", thresholding=True, dynamic_thresholding_ratio=0.8, sample_max_value=2.0)
    yield one("DDPMScheduler", variance_type="fixed_large", beta_schedule="sigmoid")
    yield one("DDPMScheduler", variance_type="fixed_small_log", clip_sample_range=0.7, beta_schedule="laplace")
    yield one("DDPMScheduler", given={"timesteps": [950, 700, 333, 40]}, steps=0)
    yield one("PNDMScheduler", skip_prk_steps=True, set_alpha_to_one=True, steps_offset=1, steps=12)
    for name, prediction, steps in itertools.product(("LCMScheduler", "TCDScheduler"), ALL, (1, 4)):
        yield one(name, prediction_type=prediction, steps=steps)
    yield one("LCMScheduler", steps=3, original_inference_steps=20, timestep_scaling=5.0, clip_sample=True)
    yield one(
        "TCDScheduler",
        steps=3,
        original_inference_steps=20,
        thresholding=True,
        sample_max_value=1.5,
        given={"reported": 1},
    )
    yield one("LCMScheduler", given={"timesteps": [999, 499, 259]}, steps=0)


def multistep():
    lu = {"use_lu_lambdas": True}
    dpm, single = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"
    yield from grid_of(dpm, ALL, **STABLE)
    for prediction, spacing in itertools.product(ALL, SPACINGS):
        yield one(dpm, prediction_type=prediction, timestep_spacing=spacing, **lu, **STABLE)
    yield from grid_of(single, ALL, spacings=(), **STABLE)
    yield from grid_of("DEISMultistepScheduler", ALL, **STABLE)
    yield from grid_of("UniPCMultistepScheduler", ALL, **STABLE)
    yield from grid_of("SASolverScheduler", ALL, **STABLE)
    for name, algorithm, order, kind in itertools.product(
        (dpm, single), ("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"), (1, 2, 3), ("midpoint", "heun")
    ):
        if algorithm == "sde-dpmsolver" and (order == 3 or name == single):
            continue
        end = {} if algorithm.endswith("++") else {"final_sigmas_type": "sigma_min"}
        yield one(name, solver_order=order, algorithm_type=algorithm, solver_type=kind, **end)
        yield one(name, steps=16, solver_order=order, algorithm_type=algorithm, solver_type=kind, **end, **STABLE)
    for more in (
        {"final_sigmas_type": "sigma_min"},
        {"lower_order_final": False},
        {"thresholding": True, "sample_max_value": 1.5},
    ):
        yield one(dpm, **more, **STABLE)
        yield one(dpm, use_karras_sigmas=True, **more, **STABLE)
        yield one(single, **more, **STABLE)
        yield one(single, steps=7, use_karras_sigmas=True, solver_order=3, **more, **STABLE)
        if "final_sigmas_type" not in more:
            yield one("DEISMultistepScheduler", solver_order=3, **more, **STABLE)
        if "lower_order_final" not in more:  # divides by an infinite step there, and so does bh1 at the end
            yield one("UniPCMultistepScheduler", solver_order=3, **more, **STABLE)
            yield one("UniPCMultistepScheduler", use_exponential_sigmas=True, **more, **STABLE)
    yield one(dpm, euler_at_final=True, final_sigmas_type="sigma_min", **STABLE)
    yield one(dpm, given={"timesteps": [950, 700, 333, 40]}, steps=0, **STABLE)
    yield one(single, given={"timesteps": [950, 700, 333, 40]}, steps=0, **STABLE)
    for name, spacing in itertools.product((dpm, single, "SASolverScheduler"), SPACINGS):
        spaced = {} if name == single else {"timestep_spacing": spacing}
        yield one(name, lambda_min_clipped=-5.1, beta_schedule="squaredcos_cap_v2", **spaced)
        yield one(name, lambda_min_clipped=-2.0, use_karras_sigmas=True, beta_schedule="squaredcos_cap_v2", **spaced)
    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    for name in (dpm, "UniPCMultistepScheduler"):
        yield one(name, **zero, **STABLE)
        yield one(name, steps=16, timestep_spacing="leading", steps_offset=1, solver_order=3)
    yield one("DEISMultistepScheduler", steps=16, timestep_spacing="leading", steps_offset=1, solver_order=3)
    for more in (
        {"solver_type": "bh1", "final_sigmas_type": "sigma_min"},
        {"solver_order": 1},
        {"predict_x0": False, "final_sigmas_type": "sigma_min"},
        {"disable_corrector": [0, 2]},
        {
            "steps": 16,
            "solver_order": 3,
            "solver_type": "bh1",
            "lower_order_final": False,
            "final_sigmas_type": "sigma_min",
        },
        {"sigma_min": 0.1, "sigma_max": 9.0, "use_karras_sigmas": True},
    ):
        yield one("UniPCMultistepScheduler", **more, **STABLE)
    for more in (
        {"predictor_order": 3, "corrector_order": 4},
        {"predictor_order": 1, "corrector_order": 1},
        {"algorithm_type": "noise_prediction"},
        {"steps": 16, "predictor_order": 3, "corrector_order": 3},
        {"lower_order_final": False},
    ):
        yield one("SASolverScheduler", **more, **STABLE)


def flows():
    for name in (
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "DEISMultistepScheduler",
        "UniPCMultistepScheduler",
        "SASolverScheduler",
    ):
        for shift in (1.0, 3.0):
            yield one(name, use_flow_sigmas=True, flow_shift=shift, prediction_type="flow_prediction")
        yield one(name, use_flow_sigmas=True, prediction_type="epsilon")
        if name in ("DPMSolverMultistepScheduler", "DEISMultistepScheduler"):
            yield one(
                name,
                use_flow_sigmas=True,
                prediction_type="flow_prediction",
                use_dynamic_shifting=True,
                given={"mu": 0.8},
            )
    unipc = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    name = "UniPCMultistepScheduler"
    yield one(name, use_karras_sigmas=True, **unipc)
    yield one(name, final_sigmas_type="sigma_min", **unipc)
    yield one(name, shift_terminal=0.1, flow_shift=2.0, **unipc)
    for shift in ("exponential", "linear"):
        yield one(name, use_dynamic_shifting=True, time_shift_type=shift, given={"mu": 0.8}, **unipc)
    flow = "FlowMatchEulerDiscreteScheduler"
    for more in (
        {},
        {"shift": 3.0},
        {"shift": 3.0, "stochastic_sampling": True},
        {"shift": 2.0, "shift_terminal": 0.1},
    ):
        for one_list in LISTS:
            yield one(flow, **more, **listed(one_list))
    for shift in ("exponential", "linear"):
        yield one(flow, use_dynamic_shifting=True, time_shift_type=shift, given={"mu": 0.8})
    yield one(flow, shift=2.0, given={"sigmas": [1.0, 0.7, 0.3]}, steps=0)
    for shift in (1.0, 3.0):
        yield one("FlowMatchHeunDiscreteScheduler", shift=shift)


def edm():
    for kind, prediction, last in itertools.product(("karras", "exponential"), TWO, ("zero", "sigma_min")):
        more = {"sigma_schedule": kind, "prediction_type": prediction, "final_sigmas_type": last}
        yield one("EDMEulerScheduler", **more)
        yield one("EDMDPMSolverMultistepScheduler", **more)
    yield one("EDMEulerScheduler", sigma_min=0.02, sigma_max=40.0, sigma_data=1.0, rho=5.0)
    for more in (
        {"solver_order": 3},
        {"algorithm_type": "sde-dpmsolver++"},
        {"solver_type": "heun", "steps": 16},
        {"euler_at_final": True},
        {"thresholding": True},
    ):
        yield one("EDMDPMSolverMultistepScheduler", **more)
    for steps in (1, 2, 5):
        yield one("CMStochasticIterativeScheduler", steps=steps)
    yield one("CMStochasticIterativeScheduler", given={"timesteps": [30, 11, 0]}, steps=0, clip_denoised=False)


def loops(name, cases, given):
    cases = list(cases)
    tensors, pieces, start = given.tensors(), [], 0
    for case in cases:
        xs = run(case, given)
        case["first"] = start
        start += len(xs)
        pieces.append(xs.reshape(len(xs), -1))
    tensors["x"] = torch.cat(pieces)
    save(f"diffusion/configs/{name}.safetensors", tensors, keep_double=True)
    write_json(name, cases)


def write_json(name, cases):
    path = GOLDEN / "diffusion" / "configs" / f"{name}.json"
    path.write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
    print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes")


def with_unet():
    """Loops with the small U-Net whose weights lie in tests/golden/unet/unconditional, in double."""
    given = Given(56, (2, 1, 8, 8), 6)
    unet = diffusers.UNet2DModel.from_pretrained(GOLDEN / "unet" / "unconditional").double()
    names = ("DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler")
    names += ("EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler")
    names += (
        "DPMSolverMultistepScheduler",
        "DPMSolverSDEScheduler",
        "DEISMultistepScheduler",
        "UniPCMultistepScheduler",
    )
    tensors, cases = {"start": given.start, "noise": given.noise}, []
    for name in names:
        settings = {"use_karras_sigmas": True} if name.startswith(("LMS", "EulerDis", "DPMSolverM", "UniPC")) else {}
        settings |= {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
        case = one(name, **settings, **STABLE)
        with torch.no_grad(), InDouble():
            tensors[name], _ = loop(case, given, torch.float64, unet)
        cases.append(case)
    save("diffusion/configs/unet.safetensors", tensors)
    write_json("unet", cases)


FOREIGN = {
    "DDIMScheduler": {
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "prediction_type": "v_prediction",
    },
    "DDPMScheduler": {"variance_type": "fixed_large", "clip_sample_range": 2.0, "beta_schedule": "squaredcos_cap_v2"},
    "PNDMScheduler": {"skip_prk_steps": True, "steps_offset": 1, **STABLE},
    "LMSDiscreteScheduler": {"use_karras_sigmas": True, **STABLE},
    "EulerDiscreteScheduler": {
        "use_karras_sigmas": True,
        "sigma_min": 0.1,
        "sigma_max": 9.0,
        "timestep_spacing": "trailing",
        **STABLE,
    },
    "HeunDiscreteScheduler": {"use_beta_sigmas": True, "clip_sample": True},
    "EulerAncestralDiscreteScheduler": {
        "timestep_spacing": "leading",
        "rescale_betas_zero_snr": True,
        "prediction_type": "v_prediction",
    },
    "DPMSolverMultistepScheduler": {
        "solver_type": "heun",
        "solver_order": 3,
        "use_lu_lambdas": True,
        "lambda_min_clipped": -5.1,
    },
    "DPMSolverSinglestepScheduler": {
        "lower_order_final": True,
        "use_exponential_sigmas": True,
        "thresholding": True,
        "sample_max_value": 2.0,
    },
    "KDPM2DiscreteScheduler": {"use_exponential_sigmas": True},
    "KDPM2AncestralDiscreteScheduler": {"use_karras_sigmas": True},
    "DEISMultistepScheduler": {"solver_order": 3, "timestep_spacing": "trailing"},
    "UniPCMultistepScheduler": {
        "solver_type": "bh1",
        "final_sigmas_type": "sigma_min",
        "solver_order": 3,
        "sigma_min": 0.1,
        "sigma_max": 9.0,
        "use_exponential_sigmas": True,
    },
    "DPMSolverSDEScheduler": {"use_beta_sigmas": True, "noise_sampler_seed": 3, "timestep_spacing": "leading"},
    "EDMEulerScheduler": {"sigma_schedule": "exponential", "sigma_max": 40.0},
}


def foreign(given):
    """Every class's saved configuration loaded as every other class; x after the last step only."""
    cases, refused, rows = [], [], []
    for source, target in itertools.product(GROUP, GROUP):
        with InDouble():
            saved = json.loads(getattr(diffusers, source)(**FOREIGN[source]).to_json_string())
        case = {"config": saved, "as": target, "steps": 6}
        try:
            xs = run(case, given)
        except (NotImplementedError, ValueError, IndexError) as error:
            refused.append((source, target, str(error)[:60]))
            continue
        case["config"] = source
        cases.append(case)
        rows.append(xs[-1].reshape(-1))
    print("refused by diffusers:", refused)
    save("diffusion/configs/foreign.safetensors", {**given.tensors(), "x": torch.stack(rows)}, keep_double=True)
    saved = {}
    for source in GROUP:
        with InDouble():
            text = getattr(diffusers, source)(**FOREIGN[source]).to_json_string()
        saved[source] = json.loads(text)
    path = GOLDEN / "diffusion" / "configs" / "foreign.json"
    path.write_text(
        json.dumps({"configs": saved, "pairs": [[case["config"], case["as"]] for case in cases]}, separators=(",", ":"))
        + "\n"
    )


def levels():
    """t and sigma of each step, and init_noise_sigma, of the classes that have sigmas, for many numbers of steps."""
    cases, rows, start = [], [], 0
    with_sigmas = [n for n in NAMES if n not in ("DDIMInverseScheduler", "LCMScheduler", "TCDScheduler")][3:]
    for name, spacing, one_list in itertools.product(with_sigmas, SPACINGS, LISTS):
        cls = getattr(diffusers, name)
        keys = cls._get_init_keys(cls)
        if (one_list and "use_karras_sigmas" not in keys) or (spacing != "linspace" and "timestep_spacing" not in keys):
            continue
        settings = {**(STABLE if "beta_start" in keys else {}), **listed(one_list)}
        if "timestep_spacing" in keys:
            settings["timestep_spacing"] = spacing
        with InDouble():
            for count in (1, 4, 13, 40):
                if name.startswith("CMStoch") and count > 13:
                    continue
                case = {"config": config(name, **settings), "steps": count}
                scheduler = make(case)
                place, first = 0, start
                for calls in calls_of(scheduler):
                    rows.append([float(scheduler.timesteps[place]), float(scheduler.sigmas[place])])
                    place, start = place + calls, start + 1
                init = float(getattr(scheduler, "init_noise_sigma", 1))
                cases.append({**case, "first": first, "init": init, "last": float(scheduler.sigmas[-1])})
    save("diffusion/configs/levels.safetensors", {"levels": torch.tensor(rows, dtype=torch.float64)}, keep_double=True)
    write_json("levels", cases)


SECTIONS = {
    "euler_family": lambda: loops("euler_family", euler_family(), Given(51)),
    "whole_steps": lambda: loops("whole_steps", whole_steps(), Given(52)),
    "multistep": lambda: loops("multistep", multistep(), Given(53)),
    "flow_and_edm": lambda: loops("flow_and_edm", itertools.chain(flows(), edm()), Given(54)),
    "levels": levels,
    "unet": with_unet,
    "foreign": lambda: foreign(Given(55)),
}

if __name__ == "__main__":
    for section in sys.argv[1:] or SECTIONS:
        SECTIONS[section]()
    for name, error in sorted(WORST.items(), key=lambda item: -item[1]):
        print(f"{name}: in float within {error:.1e} of the peak")
