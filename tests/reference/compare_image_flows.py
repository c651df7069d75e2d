"""Multi-scale RealNVP and Glow on MNIST: genmod's train_flow beside the same model in PyTorch, for the same minutes.

Needs torch, matplotlib; run: python tests/reference/compare_image_flows.py path/to/train_flow MNIST-FOLDER MODEL
MINUTES OUTPUT-FOLDER [threads]. MODEL is realnvp or glow; one process is bound to each half of the processors, and both
train at once, so that what else the machine does costs both alike.

Batches of 32, Adam at 0.001 with 100 steps of warm-up and a cosine to 0 over the time, averaged weights (decay 0.999),
noise over each grey level. Prints the bits per dimension of the 10000 test pictures and writes the curves of training
(MODEL.genmod.csv, MODEL.torch.csv: step, nats, seconds) and their picture, MODEL.png.
"""

import gzip
import math
import os
import pathlib
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks" / "peers"))
from torch_flow import Glow, Training, standard_normal  # noqa: E402

BATCH, RATE, WARMUP, LINES = 32, 1e-3, 100, 50
NUMBERS = 28 * 28


class BatchNorm(nn.Module):
    """Normalisation by the batch as a part of a flow; without scale and shift."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x):
        mean, variance = self.mean, self.variance
        if self.training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            count = x.numel() // x.shape[1]
            with torch.no_grad():
                self.mean.lerp_(mean, 0.1)
                self.variance.lerp_(variance * count / (count - 1), 0.1)
        positive = variance + 1e-5
        y = (x - mean[:, None, None]) / positive.sqrt()[:, None, None]
        return y, -0.5 * x.shape[2] * x.shape[3] * positive.log().sum()


class ImageCoupling(nn.Module):
    """Moves the pixels of one colour of a chessboard, or one half of the channels."""

    def __init__(self, channels, hidden, board=None, second_half=None):
        super().__init__()
        self.second_half = second_half
        seen = channels if board is not None else channels // 2
        self.net = nn.Sequential(nn.Conv2d(seen, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, hidden, 1),
                                 nn.ReLU(), nn.Conv2d(hidden, 2 * seen, 3, padding=1))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)
        self.factor = nn.Parameter(torch.ones(seen))
        self.register_buffer("board", board)

    def move(self, seen, moving):
        shift, h = self.net(seen).chunk(2, 1)
        log = self.factor[:, None, None] * torch.tanh(h)
        return moving * log.exp() + shift, log

    def forward(self, x):
        if self.board is not None:
            kept = x * (1 - self.board)
            y, log = self.move(kept, x)
            return kept + y * self.board, (log * self.board).flatten(1).sum(1)
        first, second = x.chunk(2, 1)
        if self.second_half:
            second, log = self.move(first, second)
        else:
            first, log = self.move(second, first)
        return torch.cat([first, second], 1), log.flatten(1).sum(1)


def chessboard(size, even):
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return ((row + column) % 2 == (0 if even else 1)).float()


class ImageRealNvp(nn.Module):
    """Two halvings; three couplings of pixels and three of channels in a level, four of pixels in the last."""

    def __init__(self, hidden=64, couplings=3, alpha=1e-6):
        super().__init__()
        self.alpha, self.slope = alpha, (1 - 2 * alpha) / (2 + 2 / 255)
        self.levels = nn.ModuleList()
        channels, size = 1, 28
        for level in range(3):
            pixels, halves = nn.ModuleList(), nn.ModuleList()
            for k in range(couplings + (level == 2)):
                pixels.append(ImageCoupling(channels, hidden, board=chessboard(size, k % 2 == 0)))
                pixels.append(BatchNorm(channels))
            if level < 2:
                channels, size = 4 * channels, size // 2
                for k in range(couplings):
                    halves.append(ImageCoupling(channels, hidden, second_half=k % 2 == 0))
                    halves.append(BatchNorm(channels))
                channels //= 2
            self.levels.append(nn.ModuleList([pixels, halves]))
            hidden *= 2

    def log_prob(self, x):
        p = self.alpha + self.slope * (x + 1 + 1 / 255)
        x = p.log() - (1 - p).log()
        result = (F.softplus(x) + F.softplus(-x) + math.log(self.slope)).flatten(1).sum(1)
        for k, (pixels, halves) in enumerate(self.levels):
            for step in pixels:
                x, log = step(x)
                result = result + log
            if k == 2:
                break
            x = F.pixel_unshuffle(x, 2)
            for step in halves:
                x, log = step(x)
                result = result + log
            x, done = x.chunk(2, 1)
            result = result + standard_normal(done)
        return result + standard_normal(x)


@torch.no_grad()
def initialize(glow, x):
    """Actnorms from the moments of x, one after the other."""

    def set_moments(y, log_scale, shift):
        mean, deviation = y.mean((0, 2, 3)), y.std((0, 2, 3), correction=0)
        log_scale.copy_(-torch.log(deviation + 1e-6))
        shift.copy_(-mean / (deviation + 1e-6))

    p = glow.alpha + glow.slope * (x + 1 + 1 / 255)
    x = F.pixel_unshuffle(p.log() - (1 - p).log(), 2)
    for step in glow.first:
        set_moments(x, step.log_scale, step.shift)
        x, _ = step(x)
    x = F.pixel_unshuffle(x.chunk(2, 1)[0], 2)
    for step in glow.second:
        set_moments(x, step.log_scale, step.shift)
        x, _ = step(x)
    set_moments(x, glow.scale, glow.shift)


def read_images(folder, name):
    with gzip.open(pathlib.Path(folder) / f"{name}-images-idx3-ubyte.gz") as file:
        data = torch.frombuffer(bytearray(file.read()[16:]), dtype=torch.uint8)
    return data.view(-1, 1, 28, 28)


def dequantized(pixels):
    x = (pixels.float() + torch.rand(pixels.shape) - 0.5) / 127.5 - 1
    return x.to(memory_format=torch.channels_last)


def bits_per_dim(nats):
    return nats / NUMBERS / math.log(2) + math.log2(127.5)


def in_torch(folder, name, minutes, log):
    """Trains for the time, then prints the test pictures' bits. Runs in a process of its own."""
    torch.manual_seed(0)
    images, held_out = read_images(folder, "train"), read_images(folder, "t10k")
    model = ImageRealNvp() if name == "realnvp" else Glow()
    if name == "glow":
        initialize(model, dequantized(images[:256]))
    model = model.to(memory_format=torch.channels_last)  # 3 % quicker than PyTorch's own layout
    training = Training(model, RATE)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    start, lines, step, total, count = time.time(), 0, 0, 0.0, 0
    budget = 60 * minutes
    while (passed := time.time() - start) < budget:
        if step % (len(images) // BATCH) == 0:
            order = torch.randperm(len(images))
        first = step % (len(images) // BATCH) * BATCH
        factor = step / WARMUP if step < WARMUP else 0.5 * (1 + math.cos(math.pi * passed / budget))
        training.optimizer.param_groups[0]["lr"] = RATE * factor
        total += training.step(dequantized(images[order[first:first + BATCH]])).item()
        step, count = step + 1, count + 1
        if time.time() - start >= (lines + 1) * budget / LINES:
            log.write(f"{step},{total / count:.6g},{time.time() - start:.3f}\n")
            log.flush()
            lines, total, count = lines + 1, 0.0, 0
    average = training.average.eval()
    for own, now in zip(average.buffers(), model.buffers()):
        own.copy_(now)
    with torch.no_grad():
        nats = sum(-average.log_prob(dequantized(held_out[k:k + 100])).sum().item() for k in range(0, 10000, 100))
    print(f"{step} steps, {bits_per_dim(nats / 10000):.4f} bits/dim of 10000 new pictures", flush=True)


def read_curve(path):
    rows = [line.split(",") for line in path.read_text().split()]
    return [float(row[2]) / 60 for row in rows], [bits_per_dim(float(row[1])) for row in rows]


def draw(folder, name):
    import matplotlib
    matplotlib.use("agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(6, 3.6), dpi=100, layout="constrained")
    for who in ("genmod", "torch"):
        axes.plot(*read_curve(folder / f"{name}.{who}.csv"), label={"torch": "PyTorch"}.get(who, who))
    axes.set(xlabel="minutes", ylabel="bits/dim of new batches", ylim=(1.2, 2.2), title=f"MNIST, {name}")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(folder / f"{name}.png")


def main():
    program, data, name, minutes, folder = sys.argv[1:6]
    threads = int(sys.argv[6]) if len(sys.argv) > 6 else 1
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if program == "torch":
        torch.set_num_threads(threads)
        with open(folder / f"{name}.torch.csv", "w") as log:
            in_torch(data, name, float(minutes), log)
        return
    own, peer = folder / f"{name}.genmod.csv", [__file__, "torch", *sys.argv[2:6], str(threads)]
    own.unlink(missing_ok=True)
    cores = sorted(os.sched_getaffinity(0))
    halves = cores[:threads], cores[threads:2 * threads] or cores[:threads]
    command = [str(pathlib.Path(program).resolve()), str(pathlib.Path(data).resolve()), "--model", name, "--minutes",
               minutes, "--batch", str(BATCH), "--lr", str(RATE), "--log", own.name, "--threads", str(threads),
               "--file", f"{name}.safetensors", "-o", f"{name}.samples.png"]
    both = [subprocess.Popen(line, cwd=where, preexec_fn=lambda mine=mine: os.sched_setaffinity(0, mine))
            for line, where, mine in ((command, folder, halves[0]), ([sys.executable, *peer], None, halves[1]))]
    codes = [process.wait() for process in both]
    if any(codes):
        sys.exit(f"one of the two failed: {codes}")
    draw(folder, name)


if __name__ == "__main__":
    main()
