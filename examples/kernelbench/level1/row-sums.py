"""Sums of the rows of a matrix. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

M, N = 512, 512


class Model(nn.Module):
    def forward(self, x):
        return torch.sum(x, dim=1, keepdim=True)


def get_inputs():
    return [torch.randn(M, N)]


def get_init_inputs():
    return []
