"""Inclusive prefix sums along rows, in PyTorch."""

import torch


def run(x):
    return torch.cumsum(x, dim=1, dtype=torch.int32)
