"""Golden files of PyTorch's CPU generator, and of sampling loops of diffusers that draw from it.

Needs torch, diffusers, safetensors; run: python tests/reference/make_rng_goldens.py

Long draws are stored as their ends, sum, sum of squares, and a hash (FNV-1a over 8 bytes each) of their integers.
"""

import torch

from golden import save

SEEDS = (0, 42, 2**32 - 1, 2**63)
SIZES = (1, 15, 16, 17, 31, 32)
LONG = 16384
DTYPES = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16}
BITS = {"f32": 24, "f64": 53}


def hashed(integers):
    value = 0xCBF29CE484222325
    for integer in integers:
        for byte in (integer % 2**64).to_bytes(8, "little"):
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return torch.tensor([value - 2**64 if value >= 2**63 else value])


def ends(tensor):
    return torch.cat([tensor[:32], tensor[-32:]])


def sums(tensor):
    exact = tensor.double()
    return torch.stack([exact.sum(), exact.square().sum()])


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def draws(tensors, name, seed):
    dtype = DTYPES[name]
    for size in (*SIZES, LONG):
        key = f"{name}/{seed}/{size}"
        generator = seeded(seed)
        normals = torch.randn(size, generator=generator, dtype=dtype)
        tensors[f"next/{key}"] = torch.rand(1, generator=generator)
        uniforms = torch.rand(size, generator=seeded(seed), dtype=dtype)
        if size < LONG:
            tensors[f"randn/{key}"] = normals
            tensors[f"rand/{key}"] = uniforms
            continue
        tensors[f"randn/{key}"], tensors[f"randn/{key}.sums"] = ends(normals), sums(normals)
        tensors[f"rand/{key}"], tensors[f"rand/{key}.sums"] = ends(uniforms), sums(uniforms)
        if name in BITS:
            tensors[f"rand/{key}.hash"] = hashed(int(u * 2 ** BITS[name]) for u in uniforms.tolist())


def integers(tensors, seed):
    for low, high in ((0, 10), (-5, 2**28 - 6), (-5, 2**28 - 5), (0, 2**32), (-(2**63), 2**63 - 1)):
        tensors[f"randint/{seed}/{low}/{high}"] = torch.randint(low, high, (9,), generator=seeded(seed))
    for count in (1, 2, 10, 100):
        tensors[f"randperm/{seed}/{count}"] = torch.randperm(count, generator=seeded(seed))
    tensors[f"randperm/{seed}/30000.hash"] = hashed(torch.randperm(30000, generator=seeded(seed)).tolist())


def mixed(tensors):
    """Calls of many kinds on one generator."""
    generator = seeded(7)
    calls = [
        torch.randn(5, generator=generator),
        torch.randn(2, generator=generator, dtype=torch.float64),
        torch.randn(17, generator=generator),
        torch.rand(3, generator=generator, dtype=torch.float64),
        torch.randperm(6, generator=generator).double(),
        torch.randn(1, generator=generator, dtype=torch.float16),
        torch.randint(0, 2**30, (2,), generator=generator).double(),
        torch.randn(21, generator=generator, dtype=torch.bfloat16),
        torch.randn(3, generator=generator),
    ]
    tensors["mixed"] = torch.cat([call.double() for call in calls])


def generator_goldens():
    tensors = {}
    for seed in SEEDS:
        for name in DTYPES:
            draws(tensors, name, seed)
        integers(tensors, seed)
    mixed(tensors)
    save("rng_torch.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    generator_goldens()
