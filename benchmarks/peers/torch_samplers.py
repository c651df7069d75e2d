"""The rows sampler_*: diffusers' schedulers on a U-Net of 1.9 million parameters, ten steps of 16 pictures.

Needs torch and diffusers. Methods that diffusers does not have (or whose Brownian noise needs a further package that is
not there) are no rows of PyTorch's.
"""
import torch

CLASSES = {
    "ddim": ("DDIMScheduler", {}),
    "ddim_trailing": ("DDIMScheduler", {"timestep_spacing": "trailing"}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "euler": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {"use_karras_sigmas": True}),
    "lms": ("LMSDiscreteScheduler", {"use_karras_sigmas": True}),
    "dpm2": ("KDPM2DiscreteScheduler", {"use_karras_sigmas": True}),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", {"use_karras_sigmas": True}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpm++2m_sde": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True, "algorithm_type": "sde-dpmsolver++"}),
    "dpm++2m_sde_heun": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True, "solver_type": "heun",
                                                         "algorithm_type": "sde-dpmsolver++"}),
    "dpm++sde": ("DPMSolverSDEScheduler", {"use_karras_sigmas": True}),
    "unipc": ("UniPCMultistepScheduler", {"use_karras_sigmas": True}),
    "deis": ("DEISMultistepScheduler", {"use_karras_sigmas": True}),
    "sa_solver": ("SASolverScheduler", {"use_karras_sigmas": True}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}


def network():
    from diffusers import UNet2DModel
    return UNet2DModel(
        sample_size=28, in_channels=1, out_channels=1, block_out_channels=(32, 64, 96), layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"), norm_num_groups=8, attention_head_dim=32)


def prepare(name, variant):
    import diffusers
    if name not in CLASSES:
        raise LookupError(f"diffusers has no {name}")
    kind, options = CLASSES[name]
    scheduler = getattr(diffusers, kind)(prediction_type="v_prediction", **options)
    model = variant.faster(variant.make(network).eval().requires_grad_(False))

    @variant.inference
    def run():
        scheduler.set_timesteps(10)
        x = variant.tensor(torch.randn(16, 1, 28, 28)) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            said = model(scheduler.scale_model_input(x, t), t.expand(16)).sample
            x = scheduler.step(said, t, x).prev_sample.to(variant.dtype)
    return run
