"""Layer normalisation over rows, in PyTorch."""

import torch


def run(x, gain, bias):
    return torch.nn.functional.layer_norm(x, x.shape[1:], gain, bias, eps=1e-5)
