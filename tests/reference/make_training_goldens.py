"""Golden files of what surrounds a network in training and guidance: EMA decays, learning rates, noising, loss weights,
guidance with rescale, and the variational bound of Improved DDPM.

Needs torch, diffusers, safetensors; run: python tests/reference/make_training_goldens.py

The bound follows Nichol and Dhariwal 2021 (and Ho et al. 2020, eq. 5 to 13) as written out below, in bits per dimension;
diffusers has no such loss.
"""

import math

import torch
from diffusers import DDPMScheduler
from diffusers.optimization import get_scheduler
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.training_utils import EMAModel, compute_snr

from golden import Numbers, save
from make_scheduler_goldens import in_double


def ema():
    tensors = {}
    for name, options in {
        "default": {"decay": 0.9999},
        "low": {"decay": 0.8, "min_decay": 0.3},
        "late": {"decay": 0.995, "update_after_step": 10},
        "warmup": {"decay": 0.9999, "use_ema_warmup": True, "inv_gamma": 1.0, "power": 2 / 3},
        "warmup_slow": {"decay": 0.9999, "use_ema_warmup": True, "inv_gamma": 20.0, "power": 0.75},
    }.items():
        model = EMAModel([torch.nn.Parameter(torch.zeros(1))], **options)
        tensors[f"decay/{name}"] = torch.tensor([model.get_decay(step) for step in range(151)], dtype=torch.float64)
    numbers = Numbers(51)
    weights = numbers.normal(12, 5)
    parameter = torch.nn.Parameter(weights[0].clone())
    model = EMAModel([parameter], decay=0.9)
    averages = []
    for value in weights[1:]:
        parameter.data.copy_(value)
        model.step([parameter])
        averages.append(model.shadow_params[0].clone())
    tensors.update(weights=weights, averages=torch.stack(averages))
    save("training/ema.safetensors", tensors, keep_double=True)


def learning_rates(steps=100, warmup=10):
    tensors = {}
    for name, options in {
        "constant": {},
        "constant_with_warmup": {},
        "linear": {},
        "cosine": {},
        "cosine_with_restarts": {"num_cycles": 3},
        "polynomial": {"power": 2.0},
    }.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        counts = {"num_warmup_steps": warmup, "num_training_steps": steps}
        schedule = get_scheduler(name, optimizer, **counts, **options)
        tensors[name] = torch.tensor([schedule.lr_lambdas[0](k) for k in range(steps)], dtype=torch.float64)
    save("training/learning_rate.safetensors", tensors, keep_double=True)


def noising():
    """x_t and the velocity target, and min-SNR weights by prediction type."""
    numbers = Numbers(52)
    scheduler = in_double(DDPMScheduler())
    x0, noise = numbers.normal(4, 1, 3, 3), numbers.normal(4, 1, 3, 3)
    t = torch.tensor([0, 3, 500, 999])
    tensors = {"x0": x0, "noise": noise, "t": t}
    tensors["noisy"] = scheduler.add_noise(x0, noise, t)
    tensors["velocity"] = scheduler.get_velocity(x0, noise, t)
    every = torch.arange(0, 1000, 37)
    snr = scheduler.alphas_cumprod[every] / (1 - scheduler.alphas_cumprod[every])
    if not torch.allclose(snr, compute_snr(scheduler, every).double(), rtol=1e-5):
        raise ValueError("compute_snr differs from its formula")
    least = snr.clamp(max=5.0)
    tensors.update({"snr/t": every, "snr": snr, "min_snr/epsilon": least / snr, "min_snr/sample": least})
    tensors["min_snr/v_prediction"] = least / (snr + 1)
    save("training/noising.safetensors", tensors, keep_double=True)


def guidance():
    numbers = Numbers(53)
    free, given = numbers.normal(3, 2, 4, 4), numbers.normal(3, 2, 4, 4) * 1.5
    tensors = {"unconditional": free, "conditional": given}
    for weight in (1.0, 3.0, 7.5):
        mixed = free + weight * (given - free)
        for rescale in (0.0, 0.7, 1.0):
            tensors[f"{weight}/{rescale}"] = rescale_noise_cfg(mixed, given, rescale)
    save("training/guidance.safetensors", tensors, keep_double=True)


def flat(values):
    return values.flatten(1).mean(1)


def normal_kl(mean1, log_var1, mean2, log_var2):
    return 0.5 * (-1 + log_var2 - log_var1 + (log_var1 - log_var2).exp() + (mean1 - mean2) ** 2 * (-log_var2).exp())


def normal_cdf(x):
    """The approximation that Improved DDPM uses."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def log_likelihood_of_bytes(x0, mean, log_std, cdf):
    """log of the probability of the bin of width 2/255 around x0, the outermost ones open (Ho et al. 2020, eq. 13)."""
    upper, lower = (cdf((x0 - mean + side / 255) * (-log_std).exp()) for side in (1, -1))
    least = 1e-12
    inside = (upper - lower).clamp(min=least).log()
    inside = torch.where(x0 > 0.999, (1 - lower).clamp(min=least).log(), inside)
    return torch.where(x0 < -0.999, upper.clamp(min=least).log(), inside)


def exact_cdf(x):
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def bound(kind, cdf, tables, x0, xt, t, output):
    """Bits per dimension of one step: KL to the posterior, or at t = 0 the likelihood of the bytes."""
    alphas, betas = tables
    at = lambda table: table[t].view(-1, 1, 1, 1)  # noqa: E731
    before = torch.cat([torch.ones(1, dtype=torch.float64), alphas[:-1]])
    posterior = betas * (1 - before) / (1 - alphas)
    log_posterior = torch.cat([posterior[1:2], posterior[1:]]).log()

    def posterior_mean(start):
        return at(betas * before.sqrt() / (1 - alphas)) * start + at(
            (1 - before) * (1 - betas).sqrt() / (1 - alphas)
        ) * xt

    eps, said = output.chunk(2, dim=1) if kind == "learned_range" else (output, None)
    start = (xt - at((1 - alphas).sqrt()) * eps) / at(alphas.sqrt())
    if kind == "learned_range":
        share = (said + 1) / 2
        log_var = share * at(betas.log()) + (1 - share) * at(log_posterior)
    elif kind == "fixed_large":
        log_var = at(torch.cat([posterior[1:2], betas[1:]]).log()).expand_as(eps)
    else:
        log_var = at(log_posterior).expand_as(eps)
    mean = posterior_mean(start)
    kl = flat(normal_kl(posterior_mean(x0), at(log_posterior), mean, log_var)) / math.log(2)
    nll = -flat(log_likelihood_of_bytes(x0, mean, 0.5 * log_var, cdf)) / math.log(2)
    return torch.where(t == 0, nll, kl)


def variational_bound():
    numbers = Numbers(54)
    scheduler = in_double(DDPMScheduler(beta_schedule="squaredcos_cap_v2"))
    alphas = scheduler.alphas_cumprod
    betas = 1 - alphas / torch.cat([torch.ones(1, dtype=torch.float64), alphas[:-1]])
    t = torch.tensor([0, 0, 1, 2, 500, 998])
    x0 = ((numbers.below(256, 6, 1, 3, 3).double() / 127.5) - 1).float().double()
    x0[0, 0, 0, 0], x0[0, 0, 0, 1], x0[1, 0, 2, 2] = -1, 1, 1
    noise = numbers.normal(6, 1, 3, 3)
    xt = scheduler.add_noise(x0, noise, t).float().double()
    close = noise + 0.1 * numbers.normal(6, 1, 3, 3)
    said = numbers.uniform(6, 1, 3, 3, low=-1, high=1)
    tensors = {"t": t, "x0": x0, "noise": noise, "xt": xt}
    learned = torch.cat([close, said], dim=1).float().double().requires_grad_()
    tensors["output"] = learned
    for name, cdf in {"tanh": normal_cdf, "erf": exact_cdf}.items():
        for kind in ("learned_range", "fixed_small", "fixed_large"):
            output = learned if kind == "learned_range" else learned[:, :1]
            terms = bound(kind, cdf, (alphas, betas), x0, xt, t, output)
            tensors[f"{kind}/{name}/bits"] = terms
            tensors[f"{kind}/{name}/doutput"] = torch.autograd.grad(terms.sum(), learned, retain_graph=True)[0]
        # Hybrid: the bound sees the predicted noise as a constant and counts T/1000.
        stopped = torch.cat([learned[:, :1].detach(), learned[:, 1:]], dim=1)
        terms = bound("learned_range", cdf, (alphas, betas), x0, xt, t, stopped)
        hybrid = flat((learned[:, :1] - noise) ** 2) + terms * len(alphas) / 1000
        tensors[f"hybrid/{name}"] = hybrid
        tensors[f"hybrid/{name}/doutput"] = torch.autograd.grad(hybrid.sum(), learned)[0]
    prior = flat(normal_kl(alphas[-1].sqrt() * x0, (1 - alphas[-1]).log(), torch.zeros(()), torch.zeros(())))
    tensors["prior_bits"] = prior / math.log(2)
    save("training/bound.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    ema()
    learning_rates()
    noising()
    guidance()
    variational_bound()
