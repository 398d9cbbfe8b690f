"""Sums of rows in KernelBench form. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

M, N = 64, 2048


class Model(nn.Module):
    def forward(self, x):
        return x.sum(dim=1)


def get_inputs():
    return [torch.randn(M, N)]


def get_init_inputs():
    return []
