"""Golden file of flow matching's and EDM's training data and losses, by their papers' formulas, and of EDM's
preconditioning by diffusers' EDMEulerScheduler.

Needs torch, diffusers, safetensors; run: python tests/reference/make_flow_edm_goldens.py
"""

import torch
from diffusers import EDMEulerScheduler

from golden import Numbers, save

SHAPE = (4, 2, 2, 3)
SIGMAS = {"flow": [0.0, 0.125, 0.6, 1.0], "edm": [0.002, 0.3, 5.0, 80.0]}
SIGMA_DATA = 0.5


def per_sample(values):
    return values.flatten(1).mean(1)


def loss_and_gradient(tensors, key, output, loss):
    tensors[f"{key}/loss"] = loss
    tensors[f"{key}/doutput"] = torch.autograd.grad(loss.sum(), output)[0]


def flow(tensors, x0, noise, output):
    sigma = torch.tensor(SIGMAS["flow"], dtype=torch.float64)
    s = sigma.reshape(-1, 1, 1, 1)
    tensors["flow/sigma"] = sigma
    tensors["flow/seen"] = (1 - s) * x0 + s * noise
    tensors["flow/times"] = 1000 * sigma
    loss_and_gradient(tensors, "flow", output, per_sample((output - (noise - x0)) ** 2))


def edm(tensors, x0, noise, output):
    """Karras et al. 2022, table 1 and eq. 2."""
    sigma = torch.tensor(SIGMAS["edm"], dtype=torch.float64)
    s = sigma.reshape(-1, 1, 1, 1)
    c_skip = SIGMA_DATA**2 / (s**2 + SIGMA_DATA**2)
    c_out = s * SIGMA_DATA / (s**2 + SIGMA_DATA**2) ** 0.5
    c_in = 1 / (s**2 + SIGMA_DATA**2) ** 0.5
    weight = (s**2 + SIGMA_DATA**2) / (s * SIGMA_DATA) ** 2
    noisy = x0 + s * noise
    tensors["edm/sigma"] = sigma
    tensors["edm/seen"] = c_in * noisy
    tensors["edm/times"] = sigma.log() / 4
    denoised = c_skip * noisy + c_out * output
    loss_and_gradient(tensors, "edm", output, per_sample(weight * (denoised - x0) ** 2))
    for prediction in ("epsilon", "v_prediction"):
        scheduler = EDMEulerScheduler(sigma_data=SIGMA_DATA, prediction_type=prediction)
        tensors[f"edm/{prediction}/x0"] = scheduler.precondition_outputs(noisy, output, s)
    tensors["edm/noisy"] = noisy
    scheduler = EDMEulerScheduler(sigma_data=SIGMA_DATA)
    error = (scheduler.precondition_inputs(noisy, s) - tensors["edm/seen"]).abs().max()
    error = max(error, (scheduler.precondition_noise(sigma) - tensors["edm/times"]).abs().max())
    if not error < 1e-12:
        raise ValueError(f"diffusers preconditions its inputs otherwise: {error}")


def main():
    numbers = Numbers(61)
    x0, noise = 0.5 * numbers.normal(*SHAPE), numbers.normal(*SHAPE)
    output = numbers.normal(*SHAPE).requires_grad_()
    tensors = {"x0": x0, "noise": noise, "output": output}
    flow(tensors, x0, noise, output)
    edm(tensors, x0, noise, output)
    save("training/flow_edm.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    main()
