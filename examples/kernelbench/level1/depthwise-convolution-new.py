"""A depthwise convolution as nine shifted products. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class ModelNew(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)

    def forward(self, x):
        height, width = x.shape[2:]
        padded = F.pad(x, (1, 1, 1, 1))
        weight = self.conv.weight
        total = torch.zeros_like(x)
        for row in range(3):
            for column in range(3):
                shifted = padded[:, :, row : row + height, column : column + width]
                total += shifted * weight[:, 0, row, column].reshape(1, -1, 1, 1)
        return total
