"""Matrix product of halves with sums in f32, in PyTorch."""

import torch


def run(a, b):
    if a.is_cuda:
        return torch.mm(a, b, out_dtype=torch.float32)
    return a.float() @ b.float()
