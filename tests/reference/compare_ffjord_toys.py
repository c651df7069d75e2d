"""FFJORD on two toys: genmod's train_flow beside the same model by torchdiffeq, for the same number of steps.

Needs torch, torchdiffeq; run: python tests/reference/compare_ffjord_toys.py path/to/train_flow [steps [seeds
[toys]]]

Three layers of 64, times from 0 to a learned one that begins at 0.5, the exact trace, dopri5 to 1e-4 with the adjoint
by seminorm; batches of 128 new points, Adam at 0.005 with 100 steps of warm-up and a cosine to 0, averaged weights
(decay 0.99). Prints -log p of 10000 new points in nats, for each seed and on average.
"""

import copy
import math
import pathlib
import re
import subprocess
import sys
import tempfile

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks" / "peers"))
from compare_realnvp_toys import compare, eight_gaussians, moons  # noqa: E402
from torch_ffjord import Flow  # noqa: E402

BATCH, RATE, WARMUP, DECAY = 128, 5e-3, 100, 0.99


def in_torch(toy, steps, seed):
    torch.manual_seed(seed)
    flow = Flow(end_time=0.5, tolerance=1e-4)
    average = copy.deepcopy(flow)
    optimizer = torch.optim.Adam(flow.parameters(), RATE)
    warmup = min(WARMUP, steps // 10)
    for step in range(steps):
        part = (step - warmup) / max(1, steps - warmup)
        factor = step / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * part))
        optimizer.param_groups[0]["lr"] = RATE * factor
        loss = -flow.log_prob(toy(BATCH), adjoint_options={"norm": "seminorm"}).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), flow.parameters()):
                mean.lerp_(weight, 1 - min(DECAY, (1 + step) / (10 + step)))
    with torch.no_grad():
        return -sum(average.log_prob(toy(2000)).mean().item() for _ in range(5)) / 5


def in_genmod(program, toy, steps, seed):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, toy, "--model", "ffjord", "--steps", str(steps), "--seed", str(seed), "--batch",
                   str(BATCH), "--lr", str(RATE), "--hidden", "64", "--depth", "3", "--threads", "1"]
        output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return float(re.search(r"new points: ([-0-9.]+)", output)[1])


if __name__ == "__main__":
    compare(in_genmod, in_torch, 1000, {"moons": moons, "eight_gaussians": eight_gaussians})
