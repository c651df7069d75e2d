"""What the scripts that make golden files share: seeded numbers, absolute-product scales, a reproducible writer."""

import json
import pathlib

import diffusers
import safetensors
import safetensors.torch
import torch

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "safetensors": safetensors.__version__}

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


class Numbers:
    """Seeded numbers that a float holds exactly, in double."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float32).double()

    def uniform(self, *shape, low=0.0, high=1.0):
        values = torch.rand(shape, generator=self.generator, dtype=torch.float32)
        return (values * (high - low) + low).double()

    def below(self, bound, *shape):
        return torch.randint(bound, shape, generator=self.generator)


def stored(tensor):
    """Double becomes float in the file, contiguous."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.float64 else tensor.clone()).contiguous()


def save(name, tensors, keep_double=False):
    """Writes tests/golden/<name>. One metadata key, so that the bytes are the same every time."""
    path = GOLDEN / name
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: (v.detach().clone().contiguous() if keep_double else stored(v)) for k, v in tensors.items()}
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{name}: {key} is not finite")
    made_by = json.dumps(VERSIONS, sort_keys=True)
    safetensors.torch.save_file(tensors, path, metadata={"made_by": made_by})
    path.chmod(0o644)
    size = path.stat().st_size
    print(f"{name}: {len(tensors)} tensors, {size} bytes")
    if size >= 1_000_000:
        raise ValueError(f"{name}: {size} bytes are too many")


def peak(tensor):
    """The scale of a tensor without products: its largest magnitude."""
    return tensor.detach().abs().max().reshape(1)


def gradients(y, dy, inputs):
    wanted = {k: v for k, v in inputs.items() if v.is_floating_point()}
    found = torch.autograd.grad(y, list(wanted.values()), dy)
    return dict(zip(wanted, found))


def forward_backward(function, inputs, dy):
    """y and the gradients of <dy, y> with respect to each floating input."""
    leaves = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in inputs.items()}
    y = function(**leaves)
    return y, gradients(y, dy, leaves)
