"""A product with both factors transposed. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

M, K, N = 128, 256, 192


class Model(nn.Module):
    def forward(self, a, b):
        return a.T @ b.T


def get_inputs():
    return [torch.randn(K, M), torch.randn(N, K)]


def get_init_inputs():
    return []
