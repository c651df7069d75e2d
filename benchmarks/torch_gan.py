"""The peer of gan_bench: the same DCGAN in PyTorch, same shapes, same threads.

Needs torch. Run: OMP_PROC_BIND=true OMP_PLACES=cores python benchmarks/torch_gan.py [threads]
Prints best and median milliseconds of a training step of both networks (batch 64, 28x28x1, Adam), plain and as WGAN-GP,
and of drawing 1000 pictures.
"""
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
torch.set_num_threads(threads)
torch.manual_seed(0)


def generator():
    return nn.Sequential(
        nn.ConvTranspose2d(100, 128, 7, 1, 0, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(norm):
    return nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, 2, 1, bias=False), norm, nn.LeakyReLU(0.2),
        nn.Conv2d(128, 1, 7, 1, 0, bias=False), nn.Flatten(0))


class Pair:
    def __init__(self, norm):
        self.g, self.d = generator(), discriminator(norm)
        options = {"lr": 2e-4, "betas": (0.5, 0.999), "foreach": True}
        self.g_adam = torch.optim.Adam(self.g.parameters(), **options)
        self.d_adam = torch.optim.Adam(self.d.parameters(), **options)

    def step(self, d_loss, g_loss, penalty=0):
        made = self.g(torch.randn(64, 100, 1, 1))
        loss = d_loss(self.d(images), self.d(made.detach()))
        if penalty:
            u = torch.rand(64, 1, 1, 1)
            x = (u * images + (1 - u) * made.detach()).requires_grad_()
            gradient = torch.autograd.grad(self.d(x).sum(), x, create_graph=True)[0]
            loss = loss + penalty * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
        self.d_adam.zero_grad()
        loss.backward()
        self.d_adam.step()
        self.g_adam.zero_grad()
        g_loss(self.d(made)).backward()
        self.g_adam.step()


def timed(name, work, repeats):
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    print(f"{name}: best {times[0]:.2f} ms, median {times[len(times) // 2]:.2f} ms", flush=True)


@torch.no_grad()
def draw():
    dcgan.g(torch.randn(1000, 100, 1, 1))


images = torch.rand(64, 1, 28, 28) * 2 - 1
dcgan, penalised = Pair(nn.BatchNorm2d(128)), Pair(nn.GroupNorm(1, 128))
counts = [sum(p.numel() for p in net.parameters()) for net in (dcgan.g, dcgan.d)]
print(f"torch {torch.__version__}, {threads} threads, {counts[0]} + {counts[1]} parameters")
timed("DCGAN training step, batch 64",
      lambda: dcgan.step(lambda r, f: F.softplus(-r).mean() + F.softplus(f).mean(), lambda f: F.softplus(-f).mean()),
      10)
timed("WGAN-GP training step, batch 64",
      lambda: penalised.step(lambda r, f: f.mean() - r.mean(), lambda f: -f.mean(), penalty=10), 10)
dcgan.g.eval()
timed("DCGAN draw 1000", draw, 5)
