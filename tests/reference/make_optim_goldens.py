"""Golden files of torch's optimisers and of its gradient clipping: given gradients, the weights after every step.

Needs torch, diffusers, safetensors; run: python tests/reference/make_optim_goldens.py

start [37], grads [steps, 37], <case>/weights [steps, 37], in double. In "skip" the parameter has no gradient in every
third step. clip/norm and clip/grads: clip_grad_norm_ of grads[0] split in two parameters, bound 1.5.
"""

import torch

from golden import Numbers, save

STEPS = 12
CASES = {
    "sgd": (torch.optim.SGD, {"lr": 0.05}),
    "sgd_decay": (torch.optim.SGD, {"lr": 0.05, "weight_decay": 0.1}),
    "sgd_momentum": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}),
    "sgd_nesterov": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {"lr": 0.01}),
    "adam_decay": (torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "skip": (torch.optim.Adam, {"lr": 0.01}),
}


def main():
    numbers = Numbers(20)
    start, grads = numbers.normal(37), numbers.normal(STEPS, 37)
    tensors = {"start": start, "grads": grads}
    for case, (make, options) in CASES.items():
        weight = start.clone().requires_grad_()
        optimiser = make([weight], **options)
        path = []
        for step in range(STEPS):
            weight.grad = None if case == "skip" and step % 3 == 2 else grads[step].clone()
            optimiser.step()
            path.append(weight.detach().clone())
        tensors[f"{case}/weights"] = torch.stack(path)
    parts = [start[:20].clone().requires_grad_(), start[20:].clone().requires_grad_()]
    parts[0].grad, parts[1].grad = grads[0][:20].clone(), grads[0][20:].clone()
    tensors["clip/norm"] = torch.nn.utils.clip_grad_norm_(parts, 1.5).reshape(1)
    tensors["clip/grads"] = torch.cat([part.grad for part in parts])
    save("optim.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    main()
