"""The rows vae_*: the convolutional VAE of genmod's rows in PyTorch."""
import torch
import torch.nn.functional as F
from torch import nn


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


def train(sizes, variant):
    """A training step with Adam."""
    batch, model = int(sizes), variant.make(Vae)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, foreach=True)
    call, images = variant.faster(model, inference=False), variant.tensor(torch.rand(batch, 1, 28, 28))

    def step():
        logits, mean, log_variance = call(images)
        reconstruction = F.binary_cross_entropy_with_logits(logits, images, reduction="sum")
        kl = -0.5 * (1 + log_variance - mean * mean - log_variance.exp()).sum()
        optimizer.zero_grad()
        ((reconstruction + kl) / batch).backward()
        optimizer.step()
    return step


def decode(sizes, variant):
    count, model = int(sizes), variant.make(Vae).eval().requires_grad_(False)
    call = variant.faster(lambda z: torch.sigmoid(model.decode(z)))

    @variant.inference
    def run():
        call(torch.randn(count, 20, dtype=variant.dtype))
    return run
