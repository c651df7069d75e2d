"""Loads weights that genmod saved into diffusers' UNet2DModel, strictly, and compares the output with a golden pass.

Needs torch, diffusers, safetensors. The test diffusion/unet_golden_test leaves unet_<case>.safetensors in the folder that
it runs in; then, for each case of tests/golden/unet:

    python tests/reference/check_unet_in_diffusers.py FOLDER/unet_<case>.safetensors tests/golden/unet/<case>
"""

import json
import pathlib
import sys

import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file


def main(weights, folder):
    config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    model = UNet2DModel(**{k: v for k, v in config.items() if not k.startswith("_")})
    model.load_state_dict(load_file(weights), strict=True)
    given = load_file(pathlib.Path(folder) / "pass.safetensors")
    with torch.no_grad():
        y = model(given["x"], given["t"], class_labels=given.get("labels")).sample
    error = ((y - given["y"]).abs().max() / given["y"].abs().max()).item()
    count = sum(p.numel() for p in model.parameters())
    print(f"{weights}: {count} parameters, none missing, none left over; output differs by {error:.2e} of the largest")
    return 0 if error < 1e-5 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
