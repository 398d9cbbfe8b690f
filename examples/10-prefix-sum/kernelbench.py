"""Inclusive prefix sum in KernelBench form. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

N = 65536


class Model(nn.Module):
    def forward(self, x):
        return torch.cumsum(x, dim=0)


def get_inputs():
    return [torch.rand(N)]


def get_init_inputs():
    return []
