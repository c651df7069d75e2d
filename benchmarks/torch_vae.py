"""The peer of vae_bench: the same VAE in PyTorch, same shapes, same threads.

Needs torch. Run: OMP_PROC_BIND=true OMP_PLACES=cores python benchmarks/torch_vae.py [threads]
Prints best and median milliseconds of a training step (batch 128, 28x28x1, Adam) and of drawing 1000 pictures.
"""
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
torch.set_num_threads(threads)
torch.manual_seed(0)


class Vae(nn.Module):
    def __init__(self, latent=20):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(),
                                     nn.Flatten(), nn.Linear(64 * 49, 2 * latent))
        self.linear = nn.Linear(latent, 64 * 49)
        self.decoder = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
                                     nn.ConvTranspose2d(32, 1, 4, 2, 1))

    def decode(self, z):
        return self.decoder(self.linear(z).view(-1, 64, 7, 7))

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return self.decode(mean + torch.randn_like(mean) * (0.5 * log_variance).exp()), mean, log_variance


model = Vae()
optimizer = torch.optim.Adam(model.parameters(), 1e-3, foreach=True)
images = torch.rand(128, 1, 28, 28)


def timed(name, work, repeats):
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    print(f"{name}: best {times[0]:.2f} ms, median {times[len(times) // 2]:.2f} ms", flush=True)


def training_step():
    logits, mean, log_variance = model(images)
    reconstruction = F.binary_cross_entropy_with_logits(logits, images, reduction="sum")
    kl = -0.5 * (1 + log_variance - mean * mean - log_variance.exp()).sum()
    optimizer.zero_grad()
    ((reconstruction + kl) / 128).backward()
    optimizer.step()


@torch.no_grad()
def draw():
    torch.sigmoid(model.decode(torch.randn(1000, 20)))


print(f"torch {torch.__version__}, {threads} threads, {sum(p.numel() for p in model.parameters())} parameters")
timed("VAE training step, batch 128", training_step, 20)
timed("VAE decode 1000", draw, 10)
