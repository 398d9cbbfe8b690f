"""Maxima of windows of an image. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, CHANNELS, SIZE, WINDOW = 4, 16, 64, 4


class Model(nn.Module):
    def __init__(self, window):
        super().__init__()
        self.pool = nn.MaxPool2d(window)

    def forward(self, x):
        return self.pool(x)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [WINDOW]
