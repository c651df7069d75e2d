"""Golden file of nflows' and normflows' transforms with random weights: images, log-determinants, gradients.

Needs torch, nflows, normflows, safetensors; run: python tests/reference/make_flow_goldens.py

<case>/weights/<key>, x, y, log_det, and dx, the gradient of <dy, y> + <dl, log_det>, in double. Maps lead from data to
noise (normflows calls that inverse). Where a convention differs the weights are translated here:
  spline: our slopes at the inner knots are 1 at zero parameters, so their biases move by log(e^(1 - least) - 1);
  LU: nflows keeps softplus(u) + 0.001 where we keep its logarithm;
  Glow: normflows' actnorm is (x - t) e^-s, its shifts and scales take turns, and its shifts are subtracted.
"""

import math

import normflows
import torch
from nflows.transforms.conv import OneByOneConvolution
from nflows.transforms.coupling import AffineCouplingTransform, PiecewiseRationalQuadraticCouplingTransform
from nflows.transforms.normalization import ActNorm
from torch import nn

from golden import Numbers, save


class Dense(nn.Module):
    """A network as nflows wants it: it may be given a context."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(inputs, 8), nn.Linear(8, outputs)])

    def forward(self, x, context=None):
        return self.layers[1](torch.tanh(self.layers[0](x)))


class Convolutions(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 1)
        self.conv3 = nn.Conv2d(6, outputs, 3, padding=1)

    def forward(self, x, context=None):
        return self.conv3(torch.relu(self.conv2(torch.relu(self.conv1(x)))))


def randomise(module, numbers, deviation=0.4):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += deviation * numbers.normal(*parameter.shape)


def record(tensors, case, numbers, function, x, weights):
    """function(x) -> y, log_det [n]"""
    x = x.clone().requires_grad_()
    y, log_det = function(x)
    log_det = log_det.expand(x.shape[0])
    dy, dl = numbers.normal(*y.shape), numbers.normal(x.shape[0])
    dx = torch.autograd.grad((dy * y).sum() + (dl * log_det).sum(), x)[0]
    for name, tensor in {"x": x, "y": y, "log_det": log_det, "dy": dy, "dl": dl, "dx": dx}.items():
        tensors[f"{case}/{name}"] = tensor
    for key, weight in weights.items():
        tensors[f"{case}/weights/{key}"] = weight


def network_weights(module):
    return {f"network.{key}": value for key, value in module.transform_net.state_dict().items()}


def couplings(tensors, numbers):
    points = AffineCouplingTransform([0, 1, 0, 1, 0], Dense).double()
    randomise(points, numbers)
    record(tensors, "affine_points", numbers, points, numbers.normal(4, 5), network_weights(points))
    images = AffineCouplingTransform([0, 0, 1, 1], Convolutions).double()
    randomise(images, numbers)
    record(tensors, "affine_images", numbers, images, numbers.normal(2, 4, 3, 5), network_weights(images))

    spline = PiecewiseRationalQuadraticCouplingTransform(
        [0, 1, 0, 1], Dense, num_bins=5, tails="linear", tail_bound=2.0
    ).double()
    randomise(spline, numbers)
    weights = network_weights(spline)
    flat = math.log(math.exp(1 - 1e-3) - 1)
    bias = weights["network.layers.1.bias"].clone().reshape(2, 14)
    bias[:, 10:] -= flat
    weights["network.layers.1.bias"] = bias.reshape(-1)
    record(tensors, "spline", numbers, spline, 1.5 * numbers.normal(40, 4), weights)


def normalisation(tensors, numbers):
    x = 3 * numbers.normal(3, 2, 4, 3) + 1
    actnorm = ActNorm(2).double().train()
    actnorm(x)
    record(tensors, "actnorm", numbers, actnorm, x, {"log_scale": actnorm.log_scale, "shift": actnorm.shift})


def convolutions(tensors, numbers):
    conv = OneByOneConvolution(4, identity_init=False).double()
    randomise(conv, numbers)
    nn.init.zeros_(conv.bias)
    x = numbers.normal(2, 4, 3, 2)
    permutation = torch.eye(4, dtype=torch.float64)[conv.permutation._permutation]
    record(tensors, "conv_full", numbers, conv, x, {"weight": conv.weight() @ permutation})
    conv.permutation._permutation = torch.arange(4)
    lower, upper = conv._create_lower_upper()
    weights = {
        "P": torch.eye(4, dtype=torch.float64),
        "L": lower,
        "U": upper,
        "sign_S": torch.ones(4, dtype=torch.float64),
        "log_S": conv.upper_diag.log(),
    }
    record(tensors, "conv_lu", numbers, conv, x, weights)


def glow(tensors, numbers):
    block = normflows.flows.GlowBlock(5, 6, init_zeros=False).double()
    block.flows[2].data_dep_init_done = torch.tensor(1.0)
    randomise(block, numbers, 0.2)
    coupling, conv, actnorm = block.flows
    scale, shift = actnorm.s.flatten(), actnorm.t.flatten()
    weights = {
        "transforms.0.log_scale": -scale,
        "transforms.0.shift": -shift * torch.exp(-scale),
        **{f"transforms.1.{key}": getattr(conv, key) for key in ("P", "L", "U", "sign_S", "log_S")},
    }
    layers = [m for m in coupling.flows[1].param_map.net if isinstance(m, nn.Conv2d)]
    for k, layer in enumerate(layers):
        for kind in ("weight", "bias"):
            tensor = getattr(layer, kind)
            if k == 2:
                tensor = torch.cat([-tensor[0::2], tensor[1::2]])
            weights[f"transforms.2.network.conv{k + 1}.{kind}"] = tensor
    record(tensors, "glow_block", numbers, block.inverse, numbers.normal(2, 5, 3, 4), weights)


def main():
    torch.manual_seed(1)
    numbers = Numbers(71)
    tensors = {}
    couplings(tensors, numbers)
    normalisation(tensors, numbers)
    convolutions(tensors, numbers)
    glow(tensors, numbers)
    save("flows.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    main()
