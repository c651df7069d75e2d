"""Golden files of distances between sets, by numpy's and scipy's formulas.

Needs numpy, scipy, torch, safetensors; run: python tests/reference/make_metric_goldens.py
"""

import math

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from golden import Numbers, save


def unbiased(k_xx, k_yy, k_xy):
    n, m = len(k_xx), len(k_yy)
    return ((k_xx.sum() - np.trace(k_xx)) / (n * (n - 1)) + (k_yy.sum() - np.trace(k_yy)) / (m * (m - 1))
            - 2 * k_xy.mean())


def cubic(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def gaussian(bandwidths):
    return lambda x, y: sum(np.exp(-cdist(x, y, "sqeuclidean") / (2 * h * h)) for h in bandwidths)


def discrepancy(kernel, x, y, biased=False):
    if biased:
        return kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean()
    return unbiased(kernel(x, x), kernel(y, y), kernel(x, y))


def quantile_power(a, b, order):
    """The integral over the quantile functions on the finest common grid."""
    n = math.lcm(len(a), len(b))
    a, b = np.repeat(np.sort(a), n // len(a)), np.repeat(np.sort(b), n // len(b))
    return (np.abs(a - b) ** order).mean()


def main():
    numbers = Numbers(13)
    a, b = numbers.normal(40, 2).numpy(), (numbers.normal(28, 2) * 0.7 + 0.3).numpy()
    features_a, features_b = numbers.normal(30, 16).numpy(), (numbers.normal(24, 16) + 0.2).numpy()
    directions = numbers.normal(7, 2).numpy()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    first = [wasserstein_distance(a @ v, b @ v) for v in directions]
    assert np.allclose(first, [quantile_power(a @ v, b @ v, 1) for v in directions])
    second = [quantile_power(a @ v, b @ v, 2) for v in directions]
    both = np.concatenate([a, b])
    distances = np.sort(cdist(both, both)[np.tril_indices(len(both), -1)])
    median = distances[len(distances) // 2]
    bandwidths = [0.2, 1.0, 2.5]
    found = {
        "kernel_distance": discrepancy(cubic, features_a, features_b),
        "sliced_1": np.mean(first),
        "sliced_2": np.sqrt(np.mean(second)),
        "mmd_median": discrepancy(gaussian([median]), a, b),
        "mmd_mixture": discrepancy(gaussian(bandwidths), a, b),
        "mmd_biased": discrepancy(gaussian(bandwidths), a, b, biased=True),
    }
    tensors = {k: torch.tensor([float(v)], dtype=torch.float64) for k, v in found.items()}
    inputs = {"a": a, "b": b, "features_a": features_a, "features_b": features_b, "directions": directions,
              "bandwidths": np.array(bandwidths)}
    tensors |= {k: torch.from_numpy(v) for k, v in inputs.items()}
    save("metrics.safetensors", tensors, keep_double=True)


if __name__ == "__main__":
    main()
