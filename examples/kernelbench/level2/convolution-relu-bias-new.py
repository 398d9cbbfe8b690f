"""The same with what follows the convolution in place. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs, size, shape):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size)
        self.bias = nn.Parameter(torch.randn(shape))

    def forward(self, x):
        return self.conv(x).relu_().add_(self.bias)
