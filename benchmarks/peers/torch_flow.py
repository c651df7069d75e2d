"""The rows realnvp_* and glow_*: the RealNVP and Glow of genmod's rows in PyTorch."""
import copy
import math

import torch
import torch.nn.functional as F
from torch import nn


def standard_normal(z):
    z = z.flatten(1)
    return -0.5 * (z * z).sum(1) - 0.5 * math.log(2 * math.pi) * z.shape[1]


class RealNvp(nn.Module):
    """Couplings of points in the plane, which move the second and the first coordinate by turns."""

    def __init__(self, couplings=8, hidden=128):
        super().__init__()
        self.nets = nn.ModuleList()
        for _ in range(couplings):
            net = nn.Sequential(nn.Linear(1, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
                                nn.Linear(hidden, 2))
            nn.init.zeros_(net[-1].weight)
            nn.init.zeros_(net[-1].bias)
            self.nets.append(net)
        self.factors = nn.Parameter(torch.ones(couplings))

    def log_prob(self, x):
        parts, log_det = [x[:, :1], x[:, 1:]], 0
        for k, net in enumerate(self.nets):
            shift, h = net(parts[k % 2]).chunk(2, 1)
            log = self.factors[k] * torch.tanh(h)
            parts[1 - k % 2] = parts[1 - k % 2] * torch.exp(log) + shift
            log_det = log_det + log[:, 0]
        return standard_normal(torch.cat(parts, 1)) + log_det

    @torch.no_grad()
    def sample(self, count):
        parts = list(torch.randn(count, 2).chunk(2, 1))
        for k in reversed(range(len(self.nets))):
            shift, h = self.nets[k](parts[k % 2]).chunk(2, 1)
            parts[1 - k % 2] = (parts[1 - k % 2] - shift) / torch.exp(self.factors[k] * torch.tanh(h))
        return torch.cat(parts, 1)


class GlowStep(nn.Module):
    """Actnorm, 1x1 convolution by LU, affine coupling."""

    def __init__(self, channels, hidden):
        super().__init__()
        self.log_scale, self.shift = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))
        p, lower, upper = torch.linalg.lu(torch.linalg.qr(torch.randn(channels, channels))[0])
        diagonal = upper.diag()
        self.register_buffer("p", p)
        self.register_buffer("sign", diagonal.sign())
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))
        self.log_s = nn.Parameter(diagonal.abs().log())
        half = channels // 2
        self.net = nn.Sequential(nn.Conv2d(channels - half, hidden, 3, padding=1), nn.ReLU(),
                                 nn.Conv2d(hidden, hidden, 1), nn.ReLU(),
                                 nn.Conv2d(hidden, 2 * half, 3, padding=1))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)
        self.sizes = [channels - half, half]

    def matrix(self):
        lower = self.lower.tril(-1) + torch.eye(len(self.sign))
        return self.p @ lower @ (self.upper.triu(1) + torch.diag(self.sign * self.log_s.exp()))

    def forward(self, x):
        pixels = x.shape[2] * x.shape[3]
        x = x * self.log_scale.exp()[:, None, None] + self.shift[:, None, None]
        x = F.conv2d(x, self.matrix()[:, :, None, None])
        kept, moved = x.split(self.sizes, 1)
        shift, h = self.net(kept).chunk(2, 1)
        log = F.logsigmoid(h + 2).flatten(1).sum(1)
        x = torch.cat([kept, (moved + shift) * torch.sigmoid(h + 2)], 1)
        return x, log + pixels * (self.log_scale.sum() + self.log_s.sum())

    def inverse(self, y):
        kept, moved = y.split(self.sizes, 1)
        shift, h = self.net(kept).chunk(2, 1)
        y = torch.cat([kept, moved / torch.sigmoid(h + 2) - shift], 1)
        y = F.conv2d(y, torch.inverse(self.matrix().double()).float()[:, :, None, None])
        return (y - self.shift[:, None, None]) / self.log_scale.exp()[:, None, None]


class Glow(nn.Module):
    """Two levels of 28 x 28 grey pictures in [-1, 1], after a logit."""

    def __init__(self, steps=8, hidden=64, alpha=1e-6):
        super().__init__()
        self.alpha, self.slope = alpha, (1 - 2 * alpha) / (2 + 2 / 255)
        self.first = nn.ModuleList(GlowStep(4, hidden) for _ in range(steps))
        self.prior = nn.Conv2d(2, 4, 3, padding=1)
        nn.init.zeros_(self.prior.weight)
        nn.init.zeros_(self.prior.bias)
        self.second = nn.ModuleList(GlowStep(8, hidden) for _ in range(steps))
        self.scale, self.shift = nn.Parameter(torch.zeros(8)), nn.Parameter(torch.zeros(8))

    def log_prob(self, x):
        p = self.alpha + self.slope * (x + 1 + 1 / 255)
        y = p.log() - (1 - p).log()
        log_det = (F.softplus(y) + F.softplus(-y) + math.log(self.slope)).flatten(1).sum(1)
        x = F.pixel_unshuffle(y, 2)
        for step in self.first:
            x, log = step(x)
            log_det = log_det + log
        x, done = x.chunk(2, 1)
        mean, deviation = self.prior(x).chunk(2, 1)
        base = standard_normal((done - mean) * torch.exp(-deviation)) - deviation.flatten(1).sum(1)
        x = F.pixel_unshuffle(x, 2)
        for step in self.second:
            x, log = step(x)
            log_det = log_det + log
        x = x * self.scale.exp()[:, None, None] + self.shift[:, None, None]
        return base + standard_normal(x) + log_det + 49 * self.scale.sum()

    @torch.no_grad()
    def sample(self, count):
        x = (torch.randn(count, 8, 7, 7) - self.shift[:, None, None]) / self.scale.exp()[:, None, None]
        for step in reversed(self.second):
            x = step.inverse(x)
        x = F.pixel_shuffle(x, 2)
        mean, deviation = self.prior(x).chunk(2, 1)
        x = torch.cat([x, torch.randn_like(mean) * deviation.exp() + mean], 1)
        for step in reversed(self.first):
            x = step.inverse(x)
        return (torch.sigmoid(F.pixel_shuffle(x, 2)) - self.alpha) / self.slope - 1 - 1 / 255


class Training:
    """What genmod's flows::Trainer does: nats per number, clipping, Adam, averaged weights."""

    def __init__(self, model, lr=1e-3, decay=0.999):
        self.model, self.average, self.decay, self.updates = model, copy.deepcopy(model), decay, 0
        self.parameters, self.averaged = list(model.parameters()), list(self.average.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr, foreach=True)

    def step(self, x):
        nats = -self.model.log_prob(x).mean()
        self.optimizer.zero_grad()
        (nats / x[0].numel()).backward()
        nn.utils.clip_grad_norm_(self.parameters, 5, foreach=True)
        self.optimizer.step()
        decay = 0 if self.updates == 0 else min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, self.parameters, 1 - decay)
        return nats


def train_points(sizes, variant):
    training, points = Training(variant.make(RealNvp)), torch.randn(int(sizes), 2)
    training.model.log_prob = variant.faster(training.model.log_prob, inference=False)
    return lambda: training.step(points)


def sample_points(sizes, variant):
    """In chunks, which is faster than at once."""
    count, model = int(sizes), variant.make(RealNvp).eval().requires_grad_(False)
    call = variant.faster(model.sample)
    return variant.inference(lambda: [call(min(4000, count - first)) for first in range(0, count, 4000)])


def train_pictures(sizes, variant):
    training, pictures = Training(variant.make(Glow)), variant.tensor(torch.rand(int(sizes), 1, 28, 28) * 2 - 1)
    training.model.log_prob = variant.faster(training.model.log_prob, inference=False)
    return lambda: training.step(pictures)


def sample_pictures(sizes, variant):
    count, model = int(sizes), variant.make(Glow).eval().requires_grad_(False)
    call = variant.faster(model.sample)
    return variant.inference(lambda: call(count))
