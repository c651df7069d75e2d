"""Golden file of Flow++'s formulas (Ho et al. 2019), written out in PyTorch.

Needs torch, safetensors; run: python tests/reference/make_flowpp_goldens.py

Everything in double: the mixture-of-logistics map of single numbers, the network of gated convolutions and attention,
and a coupling layer of the two.
"""

import torch
import torch.nn.functional as F

from golden import Numbers, forward_backward, save

COMPONENTS = 4
FILTERS, HEADS, CONTEXT = 8, 2, 3


def mixture(x, numbers):
    """x [..., c], numbers [..., (2 + 3 k) c] -> y and log dy/dx of each number."""
    rows = numbers.reshape(*x.shape, 2 + 3 * COMPONENTS)
    factor, shift = torch.tanh(rows[..., 0]), rows[..., 1]
    logits, means, log_scales = rows[..., 2:].split(COMPONENTS, -1)
    log_scales = log_scales.clamp(min=-7)
    z = (x[..., None] - means) * torch.exp(-log_scales)
    log_weights = F.log_softmax(logits, -1)
    log_below = torch.logsumexp(log_weights + F.logsigmoid(z), -1)
    log_above = torch.logsumexp(log_weights + F.logsigmoid(-z), -1)
    log_density = torch.logsumexp(log_weights + z - log_scales - 2 * F.softplus(z), -1)
    y = (log_below - log_above) * torch.exp(factor) + shift
    return y, log_density - log_below - log_above + factor


def concat_elu(x, axis=1):
    return F.elu(torch.cat([x, -x], axis))


def pixelwise(layer, x):
    """A linear layer over the channels of [n, c, h, w]."""
    return layer(x.movedim(1, -1)).movedim(-1, 1)


class GatedConv(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = torch.nn.Conv2d(2 * FILTERS, FILTERS, 3, padding=1)
        self.a_proj = torch.nn.Linear(2 * CONTEXT, FILTERS)
        self.c2 = torch.nn.Linear(2 * FILTERS, 2 * FILTERS)

    def forward(self, x, context):
        h = self.c1(concat_elu(x)) + pixelwise(self.a_proj, concat_elu(context))
        return x + F.glu(pixelwise(self.c2, concat_elu(h)), 1)


class GatedAttention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj1 = torch.nn.Linear(FILTERS, 3 * FILTERS)
        self.proj2 = torch.nn.Linear(FILTERS, 2 * FILTERS)

    def forward(self, x, positions):
        n, c, h, w = x.shape
        tokens = (x.movedim(1, -1) + positions).reshape(n, h * w, c)
        q, k, v = (part.reshape(n, h * w, HEADS, c // HEADS).transpose(1, 2)
                   for part in self.proj1(tokens).chunk(3, -1))
        weights = torch.softmax(q @ k.transpose(-1, -2) / (c // HEADS) ** 0.5, -1)
        mixed = (weights @ v).transpose(1, 2).reshape(n, h, w, c)
        return x + F.glu(self.proj2(mixed), -1).movedim(-1, 1)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.attn = GatedConv(), GatedAttention()
        self.ln1, self.ln2 = torch.nn.LayerNorm(FILTERS), torch.nn.LayerNorm(FILTERS)

    def forward(self, x, context, positions):
        x = pixelwise(self.ln1, self.conv(x, context))
        return pixelwise(self.ln2, self.attn(x, positions))


class Net(torch.nn.Module):
    def __init__(self, height, width, channels, out):
        super().__init__()
        self.pos_emb = torch.nn.Parameter(torch.randn(height, width, FILTERS))
        self.proj_in = torch.nn.Conv2d(channels, FILTERS, 3, padding=1)
        self.blocks = torch.nn.ModuleList(Block() for _ in range(2))
        self.proj_out = torch.nn.Conv2d(FILTERS, out, 3, padding=1)

    def forward(self, x, context):
        h = self.proj_in(x)
        for block in self.blocks:
            h = block(h, context, self.pos_emb)
        return self.proj_out(h)


def mixture_case(tensors, numbers):
    x = numbers.normal(2, 3, 2) * 2
    x[0, 0] = torch.tensor([45.0, -45.0])
    inputs = {"x": x, "numbers": numbers.normal(2, 3, 2 * (2 + 3 * COMPONENTS))}
    inputs["numbers"][1, 2, 10] = -9.0  # a logarithm of a scale that is too small
    dy = numbers.normal(2, 3, 4)
    y, grads = forward_backward(lambda x, numbers: torch.cat(mixture(x, numbers), -1), inputs, dy)
    tensors.update({f"mixture/{key}": value for key, value in (inputs | {"y": y, "dy": dy}).items()})
    tensors.update({f"mixture/d{key}": value for key, value in grads.items()})


def module_case(tensors, name, numbers, net, inputs, function):
    net = net.double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(numbers.normal(*weight.shape) * 0.4)
    leaves = {key: value.clone().requires_grad_(True) for key, value in inputs.items()}
    y = function(net, *leaves.values())
    dy = numbers.normal(*y.shape)
    y.backward(dy)
    tensors.update({f"{name}/{key}": value for key, value in (inputs | {"y": y, "dy": dy}).items()})
    tensors.update({f"{name}/d{key}": leaf.grad for key, leaf in leaves.items()})
    for key, weight in net.named_parameters():
        tensors[f"{name}/weights/{key}"] = weight
        tensors[f"{name}/grads/{key}"] = weight.grad


def coupling(net, x, context):
    """Moves the second half of the channels; the log-determinant stands behind the numbers of each sample."""
    keep, move = x.chunk(2, 1)
    rows = net(keep, context).movedim(1, -1)
    y, log = mixture(move.movedim(1, -1), rows)
    return torch.cat([torch.cat([keep, y.movedim(-1, 1)], 1).movedim(1, -1).flatten(1), log.flatten(1).sum(1)[:, None]],
                     1)


def main():
    numbers = Numbers(71)
    tensors = {}
    mixture_case(tensors, numbers)
    inputs = {"x": numbers.normal(2, 2, 4, 3), "context": numbers.normal(2, CONTEXT, 4, 3)}
    module_case(tensors, "net", numbers, Net(4, 3, 2, 5), inputs, lambda net, *args: net(*args))
    inputs = {"x": numbers.normal(2, 4, 4, 3), "context": numbers.normal(2, CONTEXT, 4, 3)}
    module_case(tensors, "coupling", numbers, Net(4, 3, 2, 2 * (2 + 3 * COMPONENTS)), inputs, coupling)
    save("flowpp.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    main()
