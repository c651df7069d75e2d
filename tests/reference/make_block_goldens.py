"""Golden files of diffusers' building blocks, forward and backward, with their weights by key.

Needs torch, diffusers, safetensors; run: python tests/reference/make_block_goldens.py

<case>/weights/<key>, <case>/grads/<key>, inputs, y, dy and d<input>. Computed in double from float numbers; the time
embedding's sines are diffusers' own, in single precision, and the exact ones beside them.
"""

import math

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, get_timestep_embedding
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D

from golden import Numbers, save


def perturb(module, numbers):
    """Gives all parameters random values in double that a float holds, so that none is zero or one by chance."""
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = max(1, parameter[0].numel())
            base = 1.0 if parameter.dim() == 1 else 0.0
            parameter.copy_((base * 0.5 + numbers.normal(*parameter.shape) / fan_in**0.5).float())
    return module


class Blocks:
    def __init__(self, seed):
        self.numbers = Numbers(seed)
        self.tensors = {}

    def run(self, case, module, call=None, **inputs):
        perturb(module, self.numbers)
        leaves = {k: v.clone().requires_grad_() for k, v in inputs.items()}
        y = (call or module)(*leaves.values())
        dy = self.numbers.normal(*y.shape)
        weights = dict(module.named_parameters())
        grads = torch.autograd.grad(y, list(leaves.values()) + list(weights.values()), dy)
        put = lambda key, value: self.tensors.__setitem__(f"{case}/{key}", value)  # noqa: E731
        for (key, value), grad in zip(leaves.items(), grads):
            put(key, value)
            put(f"d{key}", grad)
        for (key, value), grad in zip(weights.items(), grads[len(leaves) :]):
            put(f"weights/{key}", value)
            put(f"grads/{key}", grad)
        put("y", y)
        put("dy", dy)


def resnets(b):
    n = b.numbers.normal
    common = {"temb_channels": 12, "groups": 4, "eps": 1e-5}
    block = ResnetBlock2D(in_channels=8, out_channels=8, **common)
    b.run("resnet", block, x=n(2, 8, 5, 6), temb=n(2, 12))
    block = ResnetBlock2D(in_channels=8, out_channels=12, **common)
    b.run("resnet_shortcut", block, x=n(2, 8, 4, 7), temb=n(2, 12))
    block = ResnetBlock2D(in_channels=8, out_channels=8, time_embedding_norm="scale_shift", **common)
    b.run("resnet_scale_shift", block, x=n(2, 8, 5, 3), temb=n(2, 12))
    block = ResnetBlock2D(in_channels=12, out_channels=8, time_embedding_norm="scale_shift", **common)
    b.run("resnet_scale_shift_shortcut", block, x=n(1, 12, 6, 4), temb=n(1, 12))
    block = ResnetBlock2D(in_channels=8, out_channels=4, temb_channels=None, groups=2, eps=1e-6)
    b.run("resnet_without_time", block, lambda x: block(x, None), x=n(2, 8, 4, 4))


def attentions(b):
    n = b.numbers.normal
    for case, groups in {"attention": 4, "attention_without_norm": None}.items():
        block = Attention(
            12,
            heads=3,
            dim_head=4,
            eps=1e-5,
            norm_num_groups=groups,
            residual_connection=True,
            bias=True,
            upcast_softmax=True,
            _from_deprecated_attn_block=True,
        )
        b.run(case, block, x=n(2, 12, 4, 3))
    block = BasicTransformerBlock(12, 3, 4, cross_attention_dim=10)
    call = lambda x, text: block(x, encoder_hidden_states=text)  # noqa: E731
    b.run("transformer", block, call, x=n(2, 7, 12), text=n(2, 5, 10))


def resamplers(b):
    n = b.numbers.normal
    b.run("downsample", Downsample2D(6, use_conv=True, padding=1, name="op"), x=n(2, 6, 8, 6))
    b.run("downsample_odd", Downsample2D(4, use_conv=True, padding=1, name="op"), x=n(1, 4, 7, 7))
    b.run("downsample_no_padding", Downsample2D(4, use_conv=True, padding=0, name="op"), x=n(1, 4, 8, 6))
    b.run("upsample", Upsample2D(6, use_conv=True), x=n(2, 6, 4, 3))


def time_embedding(b):
    b.run("timestep_embedding", TimestepEmbedding(8, 20), x=b.numbers.normal(3, 8))
    t = torch.tensor([0, 1, 7, 250, 500, 999])
    b.tensors["sinusoid/t"] = t
    for dim in (8, 32, 33):
        for flip in (False, True):
            for shift in (0, 1):
                given = get_timestep_embedding(t, dim, flip, shift)
                exact = exact_sinusoid(t, dim, flip, shift)
                if (given - exact).abs().max() > 1e-4:
                    raise ValueError("diffusers' time embedding is not what its formula says")
                case = f"sinusoid/{dim}_{'cos' if flip else 'sin'}_first_shift_{shift}"
                b.tensors[case] = exact
                b.tensors[case + ".diffusers"] = given


def exact_sinusoid(t, dim, flip, shift):
    half = dim // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / (half - shift))
    angle = t.double()[:, None] * frequency
    parts = [angle.cos(), angle.sin()] if flip else [angle.sin(), angle.cos()]
    return torch.cat(parts + [torch.zeros(len(t), dim % 2, dtype=torch.float64)], dim=1)


if __name__ == "__main__":
    blocks = Blocks(21)
    resnets(blocks)
    attentions(blocks)
    resamplers(blocks)
    time_embedding(blocks)
    save("blocks.safetensors", blocks.tensors)
