"""Two recurrences, one for even and one for odd elements, in PyTorch."""

import torch

STEPS = 256
KEPT = 0.99
TURNED = -0.98


def run(x):
    even, odd = torch.clone(x[0::2]), torch.clone(x[1::2])
    for _ in range(STEPS):
        even.mul_(KEPT).add_(x[0::2])
        odd.add_(x[1::2]).mul_(TURNED)
    y = torch.empty_like(x)
    y[0::2], y[1::2] = even, odd
    return y
