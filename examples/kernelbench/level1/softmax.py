"""Softmax over rows. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

M, N = 128, 1024


class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, dim=1)


def get_inputs():
    return [torch.randn(M, N)]


def get_init_inputs():
    return []
