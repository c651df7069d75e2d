"""Golden files of small diffusers UNet2DModels: weights as diffusers saves them, a forward and a backward pass of each,
and the first 20 steps of training one of them.

Needs torch, diffusers, safetensors; run: python tests/reference/make_unet_goldens.py

unet/<case>/config.json, diffusion_pytorch_model.safetensors (save_pretrained) and pass.safetensors: x, t, labels, y,
dy, dx and grads/<key>, computed in double from the float weights. The loss is <dy, y>. diffusers takes the sines of the
time embedding in single precision even then; here they are exact, and the script checks that the model as it is shipped
differs by less than 2e-5 of the largest output.
"""

import json

import torch
from diffusers import UNet2DModel

from golden import GOLDEN, Numbers, save
from make_block_goldens import exact_sinusoid, perturb

COMMON = {"in_channels": 1, "out_channels": 1, "norm_num_groups": 4, "attention_head_dim": 4, "layers_per_block": 1}
CASES = {
    "unconditional": {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    },
    "class_conditional": {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 6,
        "block_out_channels": (8, 12),
        "layers_per_block": 2,
        "down_block_types": ("AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D"),
        "num_class_embeds": 11,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
    },
    "scale_shift": {
        "sample_size": 8,
        "block_out_channels": (8, 12),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "resnet_time_scale_shift": "scale_shift",
        "num_class_embeds": 5,
        "norm_eps": 1e-6,
    },
    "scale_shift_attention_norm": {
        "sample_size": 8,
        "block_out_channels": (8, 12),
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 4,
    },
    "three_levels": {
        "sample_size": 28,
        "block_out_channels": (4, 8, 12),
        "down_block_types": ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    },
    "without_attention": {
        "sample_size": 8,
        "block_out_channels": (8, 8),
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "add_attention": False,
    },
    "other_options": {
        "sample_size": (8, 12),
        "block_out_channels": (8, 8),
        "down_block_types": ("AttnDownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D"),
        "attention_head_dim": None,
        "mid_block_scale_factor": 1.5,
        "center_input_sample": True,
        "class_embed_type": "timestep",
        "downsample_padding": 0,
        "time_embedding_dim": 20,
    },
    "without_middle": {
        "sample_size": 4,
        "block_out_channels": (4, 8),
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "mid_block_type": None,
    },
}


def inputs(config, numbers, batch=2):
    size = config["sample_size"]
    x = numbers.normal(batch, config["in_channels"], *(size if isinstance(size, tuple) else (size, size)))
    t = numbers.below(1000, batch)
    classes = 100 if "class_embed_type" in config else config.get("num_class_embeds")
    return x, t, None if classes is None else numbers.below(classes, batch)


def make(case, numbers):
    config = {**COMMON, **CASES[case]}
    model = perturb(UNet2DModel(**config), numbers)
    folder = GOLDEN / "unet" / case
    model.float().save_pretrained(folder)
    (folder / "diffusion_pytorch_model.safetensors").chmod(0o644)
    return config, model.double()


class ExactTimes(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.options = (config.block_out_channels[0], config.flip_sin_to_cos, config.freq_shift)

    def forward(self, t):
        return exact_sinusoid(t, *self.options)


def one_pass(case, config, model, numbers):
    x, t, labels = inputs(config, numbers)
    with torch.no_grad():
        shipped = model.float()(x.float(), t, class_labels=labels).sample.double()
    model.double().time_proj = ExactTimes(model.config)
    x.requires_grad_()
    y = model(x, t, class_labels=labels).sample
    error = ((shipped - y).abs().max() / y.abs().max()).item()
    print(f"{case}: diffusers as shipped differs by {error:.1e}")
    if error > 2e-5:
        raise ValueError("too much")
    dy = numbers.normal(*y.shape)
    weights = dict(model.named_parameters())
    dx, *grads = torch.autograd.grad(y, [x, *weights.values()], dy)
    tensors = {"x": x, "t": t, "y": y, "dy": dy, "dx": dx}
    if labels is not None:
        tensors["labels"] = labels
    tensors.update({f"grads/{key}": grad for key, grad in zip(weights, grads)})
    save(f"unet/{case}/pass.safetensors", tensors)


def curve(config, model, numbers, steps=20, batch=4):
    """Adam on the epsilon loss: data, noise, t and loss of each step, and some weights after the last."""
    model.time_proj = ExactTimes(model.config)
    alphas = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    adam = torch.optim.Adam(model.parameters(), lr=2e-3, betas=(0.9, 0.999), eps=1e-8)
    shape = (steps, batch, config["in_channels"], config["sample_size"], config["sample_size"])
    data, noise = numbers.uniform(*shape, low=-1, high=1), numbers.normal(*shape)
    t = numbers.below(1000, steps, batch)
    losses = []
    for k in range(steps):
        alpha = alphas[t[k]].view(-1, 1, 1, 1)
        x = alpha.sqrt() * data[k] + (1 - alpha).sqrt() * noise[k]
        loss = torch.nn.functional.mse_loss(model(x, t[k]).sample, noise[k])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.detach())
    kept = ("conv_in.weight", "down_blocks.1.attentions.0.to_q.weight", "mid_block.resnets.1.norm2.bias")
    kept += ("up_blocks.1.resnets.0.conv_shortcut.weight", "time_embedding.linear_1.bias", "conv_out.weight")
    weights = dict(model.named_parameters())
    tensors = {"data": data, "noise": noise, "t": t, "losses": torch.stack(losses)}
    tensors.update({f"final/{key}": weights[key] for key in kept})
    save("unet/curve.safetensors", tensors)
    print("losses:", json.dumps([round(float(loss), 4) for loss in losses]))


if __name__ == "__main__":
    numbers = Numbers(31)
    for case in CASES:
        config, model = make(case, numbers)
        one_pass(case, config, model, numbers)
    config, model = make("unconditional", Numbers(31))
    curve(config, model, Numbers(32))
