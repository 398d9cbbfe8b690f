"""Product of a matrix and a vector in KernelBench form. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

M, N = 512, 1024


class Model(nn.Module):
    def forward(self, a, x):
        return a @ x


def get_inputs():
    return [torch.randn(M, N), torch.randn(N)]


def get_init_inputs():
    return []
