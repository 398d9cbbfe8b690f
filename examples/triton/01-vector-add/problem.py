"""Sum of two vectors, in KernelBench form. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

# No multiple of a block.
N = 8_000_000


class Model(nn.Module):
    def forward(self, x, y):
        return x + y


def get_inputs():
    return [torch.randn(N), torch.randn(N)]


def get_init_inputs():
    return []
