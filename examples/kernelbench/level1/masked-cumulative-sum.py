"""Running sums of the elements that a mask lets through. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

M, N = 64, 1024


class Model(nn.Module):
    def forward(self, x, mask):
        return torch.cumsum(torch.where(mask, x, 0.0), dim=1)


def get_inputs():
    return [torch.randn(M, N), torch.rand(M, N) > 0.5]


def get_init_inputs():
    return []
