"""A depthwise convolution of images. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, CHANNELS, SIZE = 4, 16, 32


class Model(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)

    def forward(self, x):
        return self.conv(x)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [CHANNELS]
