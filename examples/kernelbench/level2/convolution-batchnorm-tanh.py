"""A convolution, batch normalisation in training mode, and tanh. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, INPUTS, OUTPUTS, SIZE = 4, 3, 8, 32


class Model(nn.Module):
    def __init__(self, inputs, outputs, size):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return torch.tanh(self.norm(self.conv(x)))


def get_inputs():
    return [torch.randn(BATCH, INPUTS, SIZE, SIZE)]


def get_init_inputs():
    return [INPUTS, OUTPUTS, 3]
