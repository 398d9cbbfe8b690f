"""A convolution, ReLU, and a bias of its own. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, INPUTS, OUTPUTS, SIZE = 4, 3, 16, 32


class Model(nn.Module):
    def __init__(self, inputs, outputs, size, shape):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size)
        self.bias = nn.Parameter(torch.randn(shape))

    def forward(self, x):
        return torch.relu(self.conv(x)) + self.bias


def get_inputs():
    return [torch.randn(BATCH, INPUTS, SIZE, SIZE)]


def get_init_inputs():
    return [INPUTS, OUTPUTS, 3, (OUTPUTS, 1, 1)]
