"""The rows sd_* and clip_text_*: networks of the shapes of Stable Diffusion 1.5 with random weights, in PyTorch.

The U-Net and the decoder are diffusers' own classes; the text encoder is written out here.
"""
import torch
import torch.nn.functional as F
from torch import nn


def unet_network(**options):
    from diffusers import UNet2DConditionModel
    return UNet2DConditionModel(cross_attention_dim=768, **options)


def unet(sizes, variant):
    """Two latents, as with guidance, and 77 tokens."""
    side, model = int(sizes), variant.make(unet_network).eval().requires_grad_(False)
    x, context = variant.tensor(torch.randn(2, 4, side, side)), variant.tensor(torch.randn(2, 77, 768))
    call, t = variant.faster(model), torch.full((2,), 500)

    @variant.inference
    def run():
        call(x, t, context)
    return run


def autoencoder(**options):
    from diffusers import AutoencoderKL
    sizes = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4, **options}
    levels = len(sizes["block_out_channels"])
    model = AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * levels,
                          up_block_types=("UpDecoderBlock2D",) * levels, **sizes)
    del model.encoder, model.quant_conv
    return model


def vae(sizes, variant):
    side, model = int(sizes), variant.make(autoencoder).eval().requires_grad_(False)
    z = variant.tensor(torch.randn(1, 4, side, side))
    call = variant.faster(lambda z: model.decoder(model.post_quant_conv(z)))

    @variant.inference
    def run():
        call(z)
    return run


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x):
        projections = (self.to_q, self.to_k, self.to_v)
        q, k, v = (layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in projections)
        return self.to_out[0](F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class TextLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        h = self.fc1(self.norm2(x))
        return x + self.fc2(h * torch.sigmoid(1.702 * h))


class ClipText(nn.Module):
    """The text encoder of CLIP ViT-L/14."""

    def __init__(self, words=49408, tokens=77, width=768, heads=12, layers=12):
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(words, width), nn.Embedding(tokens, width)
        self.layers = nn.ModuleList(TextLayer(width, heads) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width)

    def forward(self, words):
        x = self.token_embedding(words) + self.position_embedding.weight[:words.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.final_norm(x)


def clip_text(sizes, variant):
    model = variant.make(ClipText).eval().requires_grad_(False)
    call, words = variant.faster(model), torch.randint(0, 49408, (int(sizes), 77))

    @variant.inference
    def run():
        call(words)
    return run
