"""The peer of ffjord_bench: the same FFJORD by PyTorch and torchdiffeq, with the weights and points it has written.

Needs torch, torchdiffeq, safetensors. Run: ffjord_bench 1 ffjord.safetensors, and then
OMP_PROC_BIND=true OMP_PLACES=cores python benchmarks/peers/torch_ffjord.py ffjord.safetensors [threads]
Prints best and median milliseconds of a solve with the exact trace and of training steps (512 points, dopri5).
"""
import math
import sys
import time

import safetensors.torch
import torch
from torchdiffeq import odeint, odeint_adjoint


class Squash(torch.nn.Module):
    def __init__(self, width_in, width_out):
        super().__init__()
        self._layer = torch.nn.Linear(width_in, width_out)
        self._hyper_bias = torch.nn.Linear(1, width_out, bias=False)
        self._hyper_gate = torch.nn.Linear(1, width_out)

    def forward(self, t, x):
        t = t.reshape(1, 1)
        return self._layer(x) * torch.sigmoid(self._hyper_gate(t)) + self._hyper_bias(t)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        widths = (2, 64, 64, 64, 2)
        self.layers = torch.nn.ModuleList(Squash(a, b) for a, b in zip(widths, widths[1:]))

    def forward(self, t, x):
        for k, layer in enumerate(self.layers):
            x = layer(t, x if k == 0 else torch.tanh(x))
        return x


class Moving(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.diffeq = Net()
        self.evaluations = 0

    def forward(self, t, state):
        self.evaluations += 1
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            z = state[0].requires_grad_(True)
            slope = self.diffeq(t, z)
            first, second = (torch.autograd.grad(slope[:, k].sum(), z, create_graph=keep, retain_graph=True)[0][:, k]
                             for k in range(2))
            return (slope, first + second) if keep else (slope.detach(), first + second)


class Flow(torch.nn.Module):
    def __init__(self, end_time=1.0, tolerance=1e-5):
        super().__init__()
        self.sqrt_end_time = torch.nn.Parameter(torch.tensor(math.sqrt(end_time)))
        self.odefunc = Moving()
        self.tolerance = tolerance

    def forward(self, x, solver=odeint_adjoint, **options):
        times = torch.stack([torch.zeros(()), self.sqrt_end_time ** 2])
        begin = (x.clone(), torch.zeros(len(x)))
        z, log_det = solver(self.odefunc, begin, times, method="dopri5", rtol=self.tolerance, atol=self.tolerance,
                            **options)
        return z[-1], log_det[-1]

    def log_prob(self, x, **options):
        z, log_det = self(x, **options)
        return -0.5 * (z ** 2).sum(1) - math.log(2 * math.pi) + log_det


def timed(name, work, repeats):
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    print(f"{name}: best {times[0]:.1f} ms, median {times[len(times) // 2]:.1f} ms", flush=True)


def main():
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    state = safetensors.torch.load_file(sys.argv[1])
    points = state.pop("points")
    flow = Flow()
    flow.load_state_dict(state)
    optimizer = torch.optim.Adam(flow.parameters(), 1e-5)

    @torch.no_grad()
    def solve():
        return flow(points, solver=odeint)

    def step(**options):
        loss = -flow.log_prob(points, **options).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    mean = solve()[1].mean().item()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {flow.odefunc.evaluations} evaluations, "
          f"mean log-determinant {mean:.5f}")
    timed("solve with the exact trace, 512 points", solve, 5)
    timed("training step, adjoint, 512 points", step, 5)
    timed("training step, adjoint by seminorm, 512 points", lambda: step(adjoint_options={"norm": "seminorm"}), 5)
    timed("training step, direct, 512 points", lambda: step(solver=odeint), 5)


if __name__ == "__main__":
    main()
