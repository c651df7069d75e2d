"""Golden file of torchdiffeq's solvers: end points, and how many evaluations and steps they took.

Needs torch, torchdiffeq, safetensors; run: python tests/reference/make_ode_goldens.py

Everything in double. dopri5 is told to step onto its end (step_t), where torchdiffeq would otherwise step over it and
interpolate back; the fixed methods take the grid t0 + (t1 - t0) k / steps.
"""

import itertools

import torch
from torchdiffeq import odeint

from golden import Numbers, save

SPANS = {"up": (0.0, 2.0), "down": (1.5, -0.5)}
TOLERANCES = (1e-3, 1e-5, 1e-8)
FIXED = ("euler", "midpoint", "rk4")
STEPS = 7


class Counted(torch.nn.Module):
    """A right-hand side that counts its calls and steps."""

    def __init__(self, function, adaptive):
        super().__init__()
        self.function = function
        self.evaluations = self.accepted = self.rejected = 0
        if adaptive:
            self.callback_accept_step = lambda t, y, dt: self.count(accepted=1)
            self.callback_reject_step = lambda t, y, dt: self.count(rejected=1)

    def forward(self, t, y):
        self.evaluations += 1
        return self.function(t, y)

    def count(self, accepted=0, rejected=0):
        self.accepted += accepted
        self.rejected += rejected


def spiral(t, y):
    """A nonlinear spiral, pushed about by the time."""
    cubes = y * y * y / (1 + y * y)
    a, b = cubes[:, 0], cubes[:, 1]
    return torch.stack([-0.1 * a + 2 * b, -2 * a - 0.1 * b + 0.5 * torch.sin(3 * t)], 1)


def oscillator(t, y):
    """Van der Pol's, stiff enough for steps to be refused."""
    a, b = y[:, 0], y[:, 1]
    return torch.stack([b, 8 * (1 - a * a) * b - a], 1)


def expansion(t, state):
    """Points that move apart, and the logarithm of their density (a state of two tensors)."""
    x, _ = state
    return x * t + torch.sin(2 * x), -(t + 2 * torch.cos(2 * x)).sum(1)


def solve(tensors, key, function, y0, span, **options):
    ts = torch.tensor(span, dtype=torch.float64)
    counted = Counted(function, options["method"] == "dopri5")
    y = odeint(counted, y0, ts, **options)
    y = y if isinstance(y, tuple) else (y,)
    for k, part in enumerate(y):
        tensors[f"{key}/y{k}"] = part[-1]
    tensors[f"{key}/counts"] = torch.tensor([counted.evaluations, counted.accepted, counted.rejected])


def main():
    numbers = Numbers(51)
    starts = {"spiral": numbers.normal(3, 2), "oscillator": numbers.normal(2, 2), "expansion": numbers.normal(4, 3)}
    tensors = {f"{name}/start": start for name, start in starts.items()}
    functions = {"spiral": spiral, "oscillator": oscillator, "expansion": expansion}
    for (name, function), (way, span) in itertools.product(functions.items(), SPANS.items()):
        if (name, way) == ("oscillator", "down"):
            continue  # explodes
        y0 = starts[name]
        y0 = (y0, torch.zeros(4, dtype=torch.float64)) if name == "expansion" else y0
        for tolerance in TOLERANCES:
            options = {"step_t": torch.tensor([span[1]], dtype=torch.float64)}
            solve(tensors, f"{name}/{way}/{tolerance:.0e}", function, y0, span, method="dopri5", rtol=tolerance,
                  atol=tolerance / 10, options=options)
        for method in FIXED if name != "oscillator" else ():
            t0, t1 = span
            grid = lambda f, y, t: torch.linspace(t0, t1, STEPS + 1, dtype=torch.float64)
            solve(tensors, f"{name}/{way}/{method}", function, y0, span, method=method,
                  options={"grid_constructor": grid})
    for key, value in tensors.items():
        if key.endswith("counts"):
            print(key, value.tolist())
    save("ode.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    main()
