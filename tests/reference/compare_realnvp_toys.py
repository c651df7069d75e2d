"""RealNVP on toys: genmod's train_flow beside the same model in PyTorch, for the same number of steps.

Needs torch; run: python tests/reference/compare_realnvp_toys.py path/to/train_flow [steps [seeds
[toys]]], where toys is a list like moons,checkerboard

Eight couplings of two layers of 64, batches of 256 new points, Adam at 0.002 with 100 steps of warm-up and a cosine to
0, averaged weights (decay 0.99). Prints -log p of 10000 new points in nats, for each seed and on average.
"""

import math
import pathlib
import re
import subprocess
import sys
import tempfile

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks" / "peers"))
from torch_flow import RealNvp, Training  # noqa: E402

BATCH, RATE, WARMUP = 256, 2e-3, 100


def moons(count):
    upper = torch.rand(count) < 0.5
    angle = math.pi * torch.rand(count)
    x, y = 2 * torch.cos(angle) - 1, 2 * torch.sin(angle) - 0.5
    points = torch.stack([torch.where(upper, x, -x), torch.where(upper, y, -y)], 1)
    return points + 0.1 * torch.randn(count, 2)


def eight_gaussians(count):
    angle = 2 * math.pi * torch.randint(8, (count,)) / 8
    return 3 * torch.stack([torch.cos(angle), torch.sin(angle)], 1) + 0.2 * torch.randn(count, 2)


def checkerboard(count):
    column = torch.randint(4, (count,))
    row = 2 * torch.randint(2, (count,)) + column % 2
    return 2 * (torch.stack([column, row], 1) + torch.rand(count, 2)) - 4


def in_torch(toy, steps, seed):
    torch.manual_seed(seed)
    training = Training(RealNvp(hidden=64), RATE, decay=0.99)
    warmup = min(WARMUP, steps // 10)
    for step in range(steps):
        part = (step - warmup) / max(1, steps - warmup)
        factor = step / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * part))
        training.optimizer.param_groups[0]["lr"] = RATE * factor
        training.step(toy(BATCH))
    with torch.no_grad():
        return -training.average.log_prob(toy(10000)).mean().item()


def in_genmod(program, toy, steps, seed):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, toy, "--model", "realnvp", "--steps", str(steps), "--seed", str(seed), "--batch",
                   str(BATCH), "--lr", str(RATE), "--hidden", "64", "--depth", "8", "--threads", "1"]
        output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return float(re.search(r"new points: ([-0-9.]+)", output)[1])


def compare(in_genmod, in_torch, steps, toys):
    """What main() of this and of compare_ffjord_toys.py does: program [steps [seeds [toys]]]."""
    program = str(pathlib.Path(sys.argv[1]).resolve())
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else steps
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    chosen = sys.argv[4].split(",") if len(sys.argv) > 4 else list(toys)
    torch.set_num_threads(1)
    for name in chosen:
        found = {"genmod": [], "torch": []}
        for seed in range(seeds):
            found["genmod"].append(in_genmod(program, name, steps, seed))
            found["torch"].append(in_torch(toys[name], steps, seed))
        for who, nats in found.items():
            each = " ".join(f"{value:.3f}" for value in nats)
            print(f"{name}, {steps} steps, {who}: mean {sum(nats) / seeds:.3f} nats ({each})", flush=True)


if __name__ == "__main__":
    compare(in_genmod, in_torch, 2000,
            {"moons": moons, "checkerboard": checkerboard, "eight_gaussians": eight_gaussians})
