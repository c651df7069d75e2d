"""The peer of unet_bench: the same U-Net of diffusers in PyTorch, same shapes, same threads.

Needs torch and diffusers. Run: OMP_PROC_BIND=true OMP_PLACES=cores python benchmarks/torch_unet.py [threads]
Prints best and median seconds of a training step (batch 64, 28x28x1, Adam), of a forward pass, and of 50 DDIM steps.
"""
import sys
import time

import torch
from diffusers import DDIMScheduler, UNet2DModel

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
torch.set_num_threads(threads)
torch.manual_seed(0)

model = UNet2DModel(
    sample_size=28, in_channels=1, out_channels=1, block_out_channels=(32, 64, 128), layers_per_block=2,
    down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), norm_num_groups=8, attention_head_dim=32)
if "channels_last" in sys.argv:
    model = model.to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(model.parameters(), 2e-4, foreach=True)
scheduler = DDIMScheduler()
images = torch.rand(64, 1, 28, 28) * 2 - 1


def timed(name, work, repeats):
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    seconds.sort()
    print(f"{name}: best {seconds[0]:.3f} s, median {seconds[len(seconds) // 2]:.3f} s", flush=True)


def training_step():
    t = torch.randint(0, 1000, (64,))
    noise = torch.randn_like(images)
    loss = torch.nn.functional.mse_loss(model(scheduler.add_noise(images, noise, t), t).sample, noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def forward():
    model(images, torch.full((64,), 500))


@torch.no_grad()
def ddim():
    scheduler.set_timesteps(50)
    x = torch.randn(64, 1, 28, 28)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample


print(f"torch {torch.__version__}, {threads} threads, {sum(p.numel() for p in model.parameters())} parameters")
timed("training step, batch 64", training_step, 7)
model.eval()
timed("forward, batch 64", forward, 7)
timed("DDIM 50 steps, 64 images", ddim, 2)
