"""Counts the floating-point operations of products and convolutions that a row of the benchmarks asks for.

Needs torch and diffusers; run: python benchmarks/peers/count_gflop.py. No numbers are computed (tensors on the device
"meta"), and convolutions are counted directly. The figures stand in unet_rows.cpp, vae_rows.cpp, flow_rows.cpp,
gan_rows.cpp and sd_rows.cpp; the numbers of parameters are those that "bench" reports.
"""
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import torch_flow
import torch_gan
import torch_sd
import torch_unet
import torch_vae


def count(name, model, work, backward=False, divisor=1):
    """Prints the GFLOP of work(), and of its gradients where asked for, divided by `divisor`."""
    if not backward:
        model.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        result = work()
        if backward:
            result.sum().backward()
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{name}: {counter.get_total_flops() / divisor / 1e9:.9g} GFLOP, {parameters} parameters", flush=True)


def small_models():
    for backward in (False, True):
        kind = "step" if backward else "forward"
        unet, vae, real_nvp, glow = torch_unet.network(), torch_vae.Vae(), torch_flow.RealNvp(), torch_flow.Glow()
        x, t = torch.randn(64, 1, 28, 28), torch.full((64,), 5)
        count(f"U-Net {kind} of a picture", unet, lambda: unet(x, t).sample, backward, 64)
        if backward:
            count("VAE step of a picture", vae, lambda: vae(x)[0], True, 64)
        else:
            count("VAE decoding of a picture", vae, lambda: vae.decode(torch.randn(64, 20)), False, 64)
        count(f"RealNVP {kind} of a point", real_nvp, lambda: real_nvp.log_prob(torch.randn(512, 2)), backward, 512)
        count(f"Glow {kind} of a picture", glow, lambda: glow.log_prob(x), backward, 64)


def gan():
    g, d = torch_gan.generator(), torch_gan.discriminator(lambda: nn.BatchNorm2d(128))
    both = nn.ModuleList([g, d])
    z, x = torch.randn(64, 100, 1, 1), torch.randn(64, 1, 28, 28)

    def step():
        made = g(z)
        (d(x).sum() + d(made.detach()).sum()).backward()
        return d(made)
    count("DCGAN step of a picture", both, step, True, 64)
    count("DCGAN drawing of a picture", both, lambda: g(z), False, 64)


def big_models():
    unet, vae, text = torch_sd.unet_network(), torch_sd.autoencoder(), torch_sd.ClipText()
    for side in (8, 16, 32, 64):
        x, z, context = torch.randn(2, 4, side, side), torch.randn(1, 4, side, side), torch.randn(2, 77, 768)
        count(f"SD U-Net {side}", unet, lambda: unet(x, torch.full((2,), 5), context).sample)
        count(f"SD VAE decoder {side}", vae, lambda: vae.decoder(vae.post_quant_conv(z)))
    count("CLIP text encoder", text, lambda: text(torch.zeros(1, 77, dtype=torch.long)))


def main():
    with torch.device("meta"):
        big_models()
    small_models()
    gan()


if __name__ == "__main__":
    main()
