"""The rows unet_*: the U-Net of diffusers that genmod's has the shape of, in PyTorch. Needs torch and diffusers."""
import torch


def network():
    from diffusers import UNet2DModel  # only where it is needed: importing it takes seconds
    return UNet2DModel(
        sample_size=28, in_channels=1, out_channels=1, block_out_channels=(32, 64, 128), layers_per_block=2,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), norm_num_groups=8, attention_head_dim=32)


def train(sizes, variant):
    """A training step as genmod's trainer takes it: Adam on a noisy batch, clipped gradients, averaged weights."""
    from diffusers import DDPMScheduler
    batch, scheduler = int(sizes), DDPMScheduler()
    model, average = variant.make(network), variant.make(network)
    weights, averaged = list(model.parameters()), list(average.parameters())
    optimizer = torch.optim.Adam(weights, 2e-4, foreach=True)
    call, images = variant.faster(model, inference=False), variant.tensor(torch.rand(batch, 1, 28, 28) * 2 - 1)

    def step():
        t = torch.randint(0, 1000, (batch,))
        noise = torch.randn_like(images)
        loss = torch.nn.functional.mse_loss(call(scheduler.add_noise(images, noise, t), t).sample, noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1, foreach=True)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, weights, 1e-3)
    return step


def in_evaluation(variant):
    return variant.faster(variant.make(network).eval().requires_grad_(False))


def forward(sizes, variant):
    batch, model = int(sizes), in_evaluation(variant)
    images, t = variant.tensor(torch.rand(batch, 1, 28, 28) * 2 - 1), torch.full((batch,), 500)

    @variant.inference
    def run():
        model(images, t)
    return run


def ddim(sizes, variant):
    from diffusers import DDIMScheduler
    batch, model, scheduler = int(sizes), in_evaluation(variant), DDIMScheduler()

    @variant.inference
    def run():
        scheduler.set_timesteps(50)
        x = variant.tensor(torch.randn(batch, 1, 28, 28))
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t.expand(batch)).sample, t, x).prev_sample.to(variant.dtype)
    return run
