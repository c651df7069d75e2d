"""PyTorch's side of a row: python torch_peer.py ROW VARIANT, run by compare.py, which asks by lines (see serve.hpp).

VARIANT is words joined by "+": eager (pictures as [n, c, h, w]), channels_last, compile, bf16. Needs torch; the rows of
the U-Nets, the VAE decoder and the samplers need diffusers too. Exit code 2: the row has no such variant.
"""
import json
import os
import re
import sys
import time

import torch
import torch.nn.functional as F

import torch_flow
import torch_gan
import torch_samplers
import torch_sd
import torch_unet
import torch_vae


class Variant:
    """How PyTorch is to run."""

    def __init__(self, text):
        words = set(text.split("+"))
        if words - {"eager", "channels_last", "compile", "bf16"}:
            raise LookupError(f"no variant {text}")
        self.channels_last, self.compiled = "channels_last" in words, "compile" in words
        self.dtype = torch.bfloat16 if "bf16" in words else torch.float32

    def tensor(self, x):
        """An input in this variant's type and layout."""
        x = x.to(self.dtype)
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last and x.dim() == 4 else x

    def make(self, build):
        """The model that build() makes, in this variant's type from the start, and in its layout."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            model = build()
        finally:
            torch.set_default_dtype(before)
        return model.to(memory_format=torch.channels_last) if self.channels_last else model

    def faster(self, function, inference=True):
        """The function (or model) itself, or compiled; for inference with weights that are frozen and packed."""
        if not self.compiled:
            return function
        if inference:
            from torch._inductor import config  # only where it is needed: it takes a second and memory
            config.freezing = True
        return torch.compile(function)

    def inference(self, function):
        """function() without gradients. (Frozen weights are packed by torch.compile under no_grad only.)"""
        def run():
            with torch.no_grad() if self.compiled else torch.inference_mode():
                function()
        return run


def product(sizes, variant):
    m, n, k = map(int, sizes.split("x"))
    a, b = variant.tensor(torch.randn(m, k)), variant.tensor(torch.randn(k, n))
    c = torch.empty(m, n, dtype=variant.dtype)
    return variant.inference(lambda: torch.mm(a, b, out=c))


def linear(sizes, variant):
    m, n, k = map(int, sizes.split("x"))
    layer = variant.make(lambda: torch.nn.Linear(k, n, bias=False)).eval()
    call, x = variant.faster(layer), variant.tensor(torch.randn(m, k))
    return variant.inference(lambda: call(x))


def convolution_of(sizes, variant):
    n, h, w, c, out = map(int, re.match(r"(\d+)x(\d+)x(\d+)x(\d+)_(\d+)", sizes).groups())
    kernel, stride = (int((re.search(f"_{letter}(\\d+)", sizes) or [0, usual])[1]) for letter, usual in
                      (("k", 3), ("s", 1)))
    layer = variant.make(lambda: torch.nn.Conv2d(c, out, kernel, stride, (kernel - 1) // 2, bias=False)).eval()
    return layer, variant.tensor(torch.randn(n, c, h, w))


def conv(sizes, variant):
    layer, x = convolution_of(sizes, variant)
    call = variant.faster(layer)
    return variant.inference(lambda: call(x))


def conv_gradient(wanted):
    def prepare(sizes, variant):
        layer, x = convolution_of(sizes, variant)
        with torch.no_grad():
            dy = torch.randn_like(layer(x))
        return variant.inference(lambda: torch.ops.aten.convolution_backward(
            dy, x, layer.weight, None, layer.stride, layer.padding, (1, 1), False, (0, 0), 1, wanted))
    return prepare


def attention(sizes, variant):
    n, tokens, heads, dim = map(int, sizes.split("x"))
    q, k, v = (variant.tensor(torch.randn(n, tokens, heads, dim)).transpose(1, 2) for _ in range(3))
    return variant.inference(lambda: F.scaled_dot_product_attention(q, k, v))


FAMILIES = {
    "product": product, "linear": linear, "conv": conv, "attention": attention,
    "convinput": conv_gradient([True, False, False]), "convweight": conv_gradient([False, True, False]),
    "unet_train": torch_unet.train, "unet_forward": torch_unet.forward, "unet_ddim": torch_unet.ddim,
    "sampler": torch_samplers.prepare,
    "vae_train": torch_vae.train, "vae_decode": torch_vae.decode,
    "realnvp_train": torch_flow.train_points, "realnvp_sample": torch_flow.sample_points,
    "glow_train": torch_flow.train_pictures, "glow_sample": torch_flow.sample_pictures,
    "gan_train": torch_gan.train, "wgan_train": torch_gan.train_wgan, "gan_draw": torch_gan.draw,
    "sd_unet": torch_sd.unet, "sd_vae": torch_sd.vae, "clip_text": torch_sd.clip_text,
}


def prepare(row, variant):
    for family, prepare_family in FAMILIES.items():
        if row.startswith(family + "_"):
            return prepare_family(row[len(family) + 1:], Variant(variant))
    raise LookupError(f"no row {row}")


def peak_rss_mib():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def times_of(work, budget):
    times, begin = [], time.perf_counter()
    while not times or time.perf_counter() - begin < budget:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return sorted(times)


def median(values):
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def main():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    torch.manual_seed(0)
    try:
        work = prepare(sys.argv[1], sys.argv[2])
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    for _ in range(2):
        work()
    print(json.dumps({"version": "PyTorch " + torch.__version__}), flush=True)
    for line in sys.stdin:
        times = times_of(work, float(line.split()[1]))
        print(json.dumps({"seconds": median(times), "times": len(times), "rss_mib": round(peak_rss_mib(), 1)}),
              flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
