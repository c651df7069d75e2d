"""Golden files of DCGAN in plain PyTorch: same weights, latents and pictures.

Needs torch, safetensors; run: python tests/reference/make_gan_goldens.py

<case>/generator/<key>, <case>/discriminator/<key>, x and z; forward passes in training mode; one step of training
(Adam, discriminator first) with the losses and all weights after it; the gradient penalty and its gradients by a
gradient of a gradient; layers under torch.nn.utils.spectral_norm. All in double.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golden import Numbers, save

SIZE, COARSE, CHANNELS, LATENT, WIDTH = 8, 2, 2, 5, 3


class LayerNorm(nn.Module):
    """Over all numbers of a sample, with weights for each channel."""

    def __init__(self, width):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        y = F.layer_norm(x, x.shape[1:], eps=1e-5)
        return y * self.weight[:, None, None] + self.bias[:, None, None]


class Stack(nn.Module):
    """Keys as in PyTorch's DCGAN example: main.0.weight ..."""

    def __init__(self, *layers):
        super().__init__()
        self.main = nn.Sequential(*layers)

    def forward(self, x):
        return self.main(x)


def generator():
    return Stack(
        nn.ConvTranspose2d(LATENT, 2 * WIDTH, COARSE, 1, 0, bias=False), nn.BatchNorm2d(2 * WIDTH), nn.ReLU(),
        nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(),
        nn.ConvTranspose2d(WIDTH, CHANNELS, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(norm):
    return Stack(
        nn.Conv2d(CHANNELS, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
        nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1, bias=False), *([norm(2 * WIDTH)] if norm else []), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * WIDTH, 1, COARSE, 1, 0, bias=False), nn.Flatten(0))


def start(module, numbers):
    module.double().train()
    with torch.no_grad():
        for parameter in module.parameters():
            base = 1.0 if parameter.dim() == 1 else 0.0
            fan_in = max(1, parameter[0].numel())
            parameter.copy_(base * 0.5 + numbers.normal(*parameter.shape) / fan_in**0.5)
    return module


def weights(prefix, module):
    return {f"{prefix}/{k}": v.clone() for k, v in module.state_dict().items()}


LOSSES = {
    "non_saturating": (lambda r, f: F.softplus(-r).mean() + F.softplus(f).mean(), lambda f: F.softplus(-f).mean()),
    "hinge": (lambda r, f: F.relu(1 - r).mean() + F.relu(1 + f).mean(), lambda f: -f.mean()),
    "smoothed": (lambda r, f: F.binary_cross_entropy_with_logits(r, torch.full_like(r, 0.9)) + F.softplus(f).mean(),
                 lambda f: F.softplus(-f).mean()),
}


def training_step(case, losses, numbers, tensors):
    g, d = start(generator(), numbers), start(discriminator(nn.BatchNorm2d), numbers)
    x, z = numbers.uniform(4, CHANNELS, SIZE, SIZE, low=-1.0, high=1.0), numbers.normal(4, LATENT)
    tensors |= weights(f"{case}/before/generator", g) | weights(f"{case}/before/discriminator", d)
    g_adam = torch.optim.Adam(g.parameters(), 2e-4, betas=(0.5, 0.999))
    d_adam = torch.optim.Adam(d.parameters(), 2e-4, betas=(0.5, 0.999))
    made = g(z[:, :, None, None])
    of_real, of_made = d(x), d(made.detach())
    d_loss = losses[0](of_real, of_made)
    d_adam.zero_grad()
    d_loss.backward()
    d_adam.step()
    g_loss = losses[1](d(made))
    g_adam.zero_grad()
    g_loss.backward()
    g_adam.step()
    tensors |= {f"{case}/x": x, f"{case}/z": z, f"{case}/made": made, f"{case}/of_real": of_real,
                f"{case}/d_loss": d_loss, f"{case}/g_loss": g_loss}
    tensors |= weights(f"{case}/after/generator", g) | weights(f"{case}/after/discriminator", d)


def penalty(case, norm, numbers, tensors):
    d = start(discriminator(norm), numbers)
    x = numbers.uniform(3, CHANNELS, SIZE, SIZE, low=-1.0, high=1.0).requires_grad_()
    gradient = torch.autograd.grad(d(x).sum(), x, create_graph=True)[0]
    loss = ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
    found = dict(d.named_parameters())
    # A critic's last bias has no part in it, and so no gradient.
    grads = torch.autograd.grad(loss, list(found.values()), allow_unused=True)
    tensors |= {f"{case}/x": x, f"{case}/y": loss, f"{case}/dy": torch.ones_like(loss)}
    for (key, value), grad in zip(found.items(), grads):
        tensors[f"{case}/weights/{key}"] = value
        tensors[f"{case}/grads/{key}"] = torch.zeros_like(value) if grad is None else grad


def spectral(case, layer, x, numbers, tensors):
    start(layer, numbers)
    layer = nn.utils.spectral_norm(layer)
    layer.double().train()
    tensors |= {f"{case}/u": layer.weight_u, f"{case}/v": layer.weight_v.reshape(1, *layer.weight_orig.shape[1:]),
                f"{case}/weight": layer.weight_orig, f"{case}/bias": layer.bias, f"{case}/x": x}
    tensors |= {k: v.clone() for k, v in tensors.items()}
    y = layer(x)
    dy = numbers.normal(*y.shape)
    tensors |= {f"{case}/y": y, f"{case}/dy": dy,
                f"{case}/dweight": torch.autograd.grad(y, layer.weight_orig, dy)[0],
                f"{case}/u_after": layer.weight_u.clone(),
                f"{case}/v_after": layer.weight_v.clone().reshape(1, *layer.weight_orig.shape[1:])}
    layer.eval()
    tensors[f"{case}/y_evaluated"] = layer(x)


def main():
    numbers = Numbers(12)
    torch.manual_seed(5)  # spectral_norm's first vectors
    tensors = {}
    for case, losses in LOSSES.items():
        training_step(case, losses, numbers, tensors)
    penalty("penalty_layer", LayerNorm, numbers, tensors)
    penalty("penalty_none", None, numbers, tensors)
    spectral("spectral_conv", nn.Conv2d(3, 4, 4, 2, 1), numbers.normal(2, 3, 6, 6), numbers, tensors)
    spectral("spectral_linear", nn.Linear(5, 3), numbers.normal(4, 5), numbers, tensors)
    save("gan.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    main()
