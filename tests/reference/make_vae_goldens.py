"""Golden files of variational autoencoders in plain PyTorch: same weights, same noise.

Needs torch, safetensors; run: python tests/reference/make_vae_goldens.py

<case>/weights/<key> under genmod's names, x, noise [n, k, latent], mean, log_variance, output (of the first draw), and
for each objective <case>/<objective>/y (the loss) and grads/<key>; for VQ-VAE also the codebook's state after a step. All in
double. Numbers of a flattened picture lie
with the channels last, as genmod has them.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from golden import Numbers, save


class ConvVae(nn.Module):
    def __init__(self, size, channels, widths, latent):
        super().__init__()
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.convs, self.decoder.deconvs = nn.ModuleList(), nn.ModuleList()
        ins = [channels] + widths
        for a, b in zip(ins, widths):
            self.encoder.convs.append(nn.Conv2d(a, b, 3, 2, 1))
        for a, b in zip(reversed(widths), reversed(ins[:-1])):
            self.decoder.deconvs.append(nn.ConvTranspose2d(a, b, 4, 2, 1))
        side = size >> len(widths)
        self.coarse = (side, side, widths[-1])
        self.encoder.linear = nn.Linear(side * side * widths[-1], 2 * latent)
        self.decoder.linear = nn.Linear(latent, side * side * widths[-1])

    def encode(self, x):
        for conv in self.encoder.convs:
            x = F.relu(conv(x))
        return self.encoder.linear(x.permute(0, 2, 3, 1).flatten(1)).chunk(2, 1)

    def decode(self, z):
        h = self.decoder.linear(z).unflatten(1, self.coarse).permute(0, 3, 1, 2)
        for deconv in self.decoder.deconvs:
            h = deconv(F.relu(h))
        return h


class FullVae(nn.Module):
    def __init__(self, size, widths, latent):
        super().__init__()
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.layers = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip([size] + widths, widths + [2 * latent]))
        back = list(reversed(widths))
        self.decoder.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip([latent] + back, back + [size]))
        self.log_deviation = nn.Parameter(torch.zeros(1))

    @staticmethod
    def run(layers, x):
        for k, layer in enumerate(layers):
            x = layer(x if k == 0 else torch.tanh(x))
        return x

    def encode(self, x):
        return self.run(self.encoder.layers, x).chunk(2, 1)

    def decode(self, z):
        return self.run(self.decoder.layers, z)


def log_likelihood(model, output, x):
    """log p(x | z) of x [m, ...], summed over all but the first axis."""
    if isinstance(model, ConvVae):
        return -F.binary_cross_entropy_with_logits(output, (x + 1) / 2, reduction="none").flatten(1).sum(1)
    return torch.distributions.Normal(output, model.log_deviation.exp()).log_prob(x).flatten(1).sum(1)


def parts(model, x, noise):
    mean, log_variance = model.encode(x)
    q = torch.distributions.Normal(mean[:, None], (0.5 * log_variance[:, None]).exp())
    z = mean[:, None] + (0.5 * log_variance[:, None]).exp() * noise
    k = noise.shape[1]
    likelihood = log_likelihood(model, model.decode(z.flatten(0, 1)), x.repeat_interleave(k, 0)).unflatten(0, (-1, k))
    kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(2)
    return likelihood, kl, prior, q.log_prob(z).sum(2)


def elbo(beta, capacity):
    def loss(model, x, noise):
        likelihood, kl, _, _ = parts(model, x, noise)
        return (-likelihood.mean(1) + beta * (kl - capacity).abs()).mean()

    return loss


def importance_weighted(model, x, noise):
    likelihood, _, prior, posterior = parts(model, x, noise)
    return -((likelihood + prior - posterior).logsumexp(1) - math.log(noise.shape[1])).mean()


def run(case, model, x, noise, numbers, tensors):
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = max(1, parameter[0].numel())
            parameter.copy_(numbers.normal(*parameter.shape) / (3 if parameter.dim() == 1 else fan_in**0.5))
    mean, log_variance = model.encode(x)
    tensors |= {f"{case}/weights/{k}": v for k, v in model.named_parameters()}
    z = mean + (0.5 * log_variance).exp() * noise[:, 0]
    tensors |= {f"{case}/x": x, f"{case}/noise": noise, f"{case}/mean": mean, f"{case}/log_variance": log_variance,
                f"{case}/output": model.decode(z)}
    weights = dict(model.named_parameters())
    objectives = {"elbo": elbo(1.0, 0.0), "capacity": elbo(2.5, 1.5), "importance_weighted": importance_weighted}
    for name, objective in objectives.items():
        loss = objective(model, x, noise)
        grads = torch.autograd.grad(loss, list(weights.values()))
        tensors[f"{case}/{name}/y"] = loss
        tensors[f"{case}/{name}/dy"] = torch.ones_like(loss)
        tensors |= {f"{case}/{name}/grads/{k}": g for k, g in zip(weights, grads)}


class VqVae(nn.Module):
    def __init__(self, channels, widths, code_size, codes):
        super().__init__()
        ins = [channels] + widths
        self.encoder = nn.ModuleList([nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(ins, widths)])
        self.encoder.append(nn.Conv2d(widths[-1], code_size, 1))
        self.first = nn.Conv2d(code_size, widths[-1], 3, 1, 1)
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(reversed(widths), reversed(ins[:-1])))
        self.quantizer = nn.Module()
        self.quantizer.codebook = nn.Parameter(torch.zeros(codes, code_size))

    def forward(self, x):
        """Reconstruction, vectors [rows, code_size] and the numbers of their codes."""
        for k, conv in enumerate(self.encoder):
            x = conv(x if k == 0 else F.relu(x))
        z = x.permute(0, 2, 3, 1)
        rows = z.flatten(0, 2)
        indices = torch.cdist(rows, self.quantizer.codebook).argmin(1)
        codes = self.quantizer.codebook[indices].view_as(z)
        h = self.first((z + (codes - z).detach()).permute(0, 3, 1, 2))
        for deconv in self.decoder:
            h = deconv(F.relu(h))
        return h, z, codes, indices


def vq(case, moving_average, x, numbers, tensors):
    """One pass, and for a codebook of moving averages its state after the step."""
    model = VqVae(1, [3, 4], 2, 6).double()
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = max(1, parameter[0].numel())
            parameter.copy_(numbers.normal(*parameter.shape) / (3 if parameter.dim() == 1 else fan_in**0.5))
    output, z, codes, indices = model(x)
    n = x.shape[0]
    reconstruction = 0.5 * ((output - x) ** 2).sum() / n + x[0].numel() * 0.5 * math.log(2 * math.pi)
    commitment = 0.25 * ((z - codes.detach()) ** 2).sum() / n
    loss = reconstruction + commitment
    if not moving_average:
        loss = loss + ((codes - z.detach()) ** 2).sum() / n
    weights = {k: v for k, v in model.named_parameters() if not (moving_average and "codebook" in k)}
    grads = torch.autograd.grad(loss, list(weights.values()))
    codebook = model.quantizer.codebook.detach()
    tensors |= {f"{case}/weights/{k}": v for k, v in model.named_parameters()}
    tensors |= {f"{case}/x": x, f"{case}/indices": indices.view(z.shape[:3]), f"{case}/output": output,
                f"{case}/y": loss, f"{case}/dy": torch.ones_like(loss)}
    tensors |= {f"{case}/grads/{k}": g for k, g in zip(weights, grads)}
    if moving_average:
        counts, sums, k, decay, eps = torch.ones(6).double(), codebook.clone(), 6, 0.99, 1e-5
        tensors |= {f"{case}/weights/quantizer.counts": counts, f"{case}/weights/quantizer.sums": sums}
        hot = F.one_hot(indices, k).double()
        counts = decay * counts + (1 - decay) * hot.sum(0)
        sums = decay * sums + (1 - decay) * hot.T @ z.flatten(0, 2)
        smoothed = (counts + eps) / (counts.sum() + k * eps) * counts.sum()
        tensors |= {f"{case}/counts": counts, f"{case}/sums": sums, f"{case}/codebook": sums / smoothed[:, None]}


def main():
    numbers = Numbers(11)
    tensors = {}
    x = numbers.uniform(2, 2, 8, 8, low=-1.0, high=1.0)
    run("conv", ConvVae(8, 2, [3, 4], 3), x, numbers.normal(2, 3, 3), numbers, tensors)
    run("full", FullVae(5, [7, 6], 2), numbers.normal(4, 5), numbers.normal(4, 3, 2), numbers, tensors)
    x = numbers.uniform(3, 1, 8, 12, low=-1.0, high=1.0)
    vq("vq_average", True, x, numbers, tensors)
    vq("vq_loss", False, x, numbers, tensors)
    save("vae.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    main()
