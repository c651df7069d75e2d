"""Golden file of FFJORD: outputs, log-dets and adjoint gradients of the same weights by torchdiffeq.

Needs torch, torchdiffeq, safetensors; run: python tests/reference/make_ffjord_goldens.py

Everything in double. The flow is that of Grathwohl et al. 2019: layers (x W + b) sigmoid(t W_gate + b_gate) + t W_bias,
the time from 0 to (sqrt_end_time)^2, an exact trace, or Hutchinson's with a given probe.
"""

import torch
from torchdiffeq import odeint_adjoint

from golden import Numbers, save

HIDDEN = (6, 5)
DIMS = 3


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
    def __init__(self, activation):
        super().__init__()
        widths = (DIMS, *HIDDEN, DIMS)
        self.layers = torch.nn.ModuleList(Squash(a, b) for a, b in zip(widths, widths[1:]))
        self.activation = activation

    def forward(self, t, x):
        for k, layer in enumerate(self.layers):
            x = layer(t, x if k == 0 else self.activation(x))
        return x


class Moving(torch.nn.Module):
    """dz/dt and d log-det/dt."""

    def __init__(self, diffeq, probe):
        super().__init__()
        self.diffeq = diffeq
        self.probe = probe

    def forward(self, t, state):
        with torch.enable_grad():
            z = state[0].requires_grad_(True)
            slope = self.diffeq(t, z)
            if self.probe is None:
                rows = (torch.autograd.grad(slope[:, k].sum(), z, create_graph=True)[0][:, k] for k in range(DIMS))
                return slope, sum(rows)
            product = torch.autograd.grad(slope, z, self.probe, create_graph=True)[0]
            return slope, (product * self.probe).sum(1)


class Flow(torch.nn.Module):
    def __init__(self, activation, probe):
        super().__init__()
        self.sqrt_end_time = torch.nn.Parameter(torch.tensor(0.8))
        self.odefunc = Moving(Net(activation), probe)

    def forward(self, x, reverse=False):
        zero = torch.zeros((), dtype=x.dtype)
        times = torch.stack([zero, self.sqrt_end_time ** 2])
        times = times.flip(0) if reverse else times
        state = (x, torch.zeros(x.shape[0], dtype=x.dtype))
        z, log_det = odeint_adjoint(self.odefunc, state, times, method="dopri5", rtol=1e-10, atol=1e-10)
        return z[-1], log_det[-1]


def case(tensors, name, numbers, activation, probe):
    torch.manual_seed(len(tensors))
    flow = Flow(activation, probe).double()
    with torch.no_grad():
        for weight in flow.parameters():
            weight.copy_((2 * weight).float().double())  # larger than they begin, and what a float holds
    x = numbers.normal(4, DIMS).requires_grad_(True)
    z, log_det = flow(x)
    dz, dl = numbers.normal(4, DIMS), numbers.normal(4)
    ((z * dz).sum() + (log_det * dl).sum()).backward()
    back, back_log_det = flow(z.detach(), reverse=True)
    found = {"x": x, "z": z, "log_det": log_det, "dz": dz, "dlog_det": dl, "dx": x.grad, "back": back,
             "back_log_det": back_log_det}
    if probe is not None:
        found["probe"] = probe
    tensors.update({f"{name}/{key}": value for key, value in found.items()})
    for key, weight in flow.named_parameters():
        tensors[f"{name}/weights/{key}"] = weight
        tensors[f"{name}/grads/{key}"] = weight.grad


def main():
    numbers = Numbers(61)
    tensors = {}
    case(tensors, "exact", numbers, torch.tanh, None)
    case(tensors, "probe", numbers, torch.nn.functional.softplus, numbers.normal(4, DIMS))
    save("ffjord.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    main()
