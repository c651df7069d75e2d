"""The rows gan_* and wgan_*: the DCGAN of genmod's rows in PyTorch."""
import torch
import torch.nn.functional as F
from torch import nn


def generator():
    return nn.Sequential(
        nn.ConvTranspose2d(100, 128, 7, 1, 0, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(norm):
    return nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, 2, 1, bias=False), norm(), nn.LeakyReLU(0.2),
        nn.Conv2d(128, 1, 7, 1, 0, bias=False), nn.Flatten(0))


def train_pair(batch, variant, norm, d_loss, g_loss, penalty=0):
    """A training step of both networks."""
    g, d = variant.make(generator), variant.make(lambda: discriminator(norm))
    options = {"lr": 2e-4, "betas": (0.5, 0.999), "foreach": True}
    g_adam, d_adam = torch.optim.Adam(g.parameters(), **options), torch.optim.Adam(d.parameters(), **options)
    images = variant.tensor(torch.rand(batch, 1, 28, 28) * 2 - 1)

    def step():
        made = g(variant.tensor(torch.randn(batch, 100, 1, 1)))
        loss = d_loss(d(images), d(made.detach()))
        if penalty:
            u = torch.rand(batch, 1, 1, 1)
            x = (u * images + (1 - u) * made.detach()).requires_grad_()
            gradient = torch.autograd.grad(d(x).sum(), x, create_graph=True)[0]
            loss = loss + penalty * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
        d_adam.zero_grad()
        loss.backward()
        d_adam.step()
        g_adam.zero_grad()
        g_loss(d(made)).backward()
        g_adam.step()
    return step


def train(sizes, variant):
    return train_pair(int(sizes), variant, lambda: nn.BatchNorm2d(128),
                      lambda r, f: F.softplus(-r).mean() + F.softplus(f).mean(), lambda f: F.softplus(-f).mean())


def train_wgan(sizes, variant):
    return train_pair(int(sizes), variant, lambda: nn.GroupNorm(1, 128), lambda r, f: f.mean() - r.mean(),
                      lambda f: -f.mean(), penalty=10)


def draw(sizes, variant):
    count, g = int(sizes), variant.make(generator).eval().requires_grad_(False)
    call = variant.faster(g)

    @variant.inference
    def run():
        call(variant.tensor(torch.randn(count, 100, 1, 1)))
    return run
