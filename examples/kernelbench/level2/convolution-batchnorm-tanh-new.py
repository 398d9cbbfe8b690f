"""Batch normalisation through its moments. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs, size):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        x = self.conv(x)
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0, keepdim=True)
        scale = self.norm.weight.reshape(1, -1, 1, 1) * torch.rsqrt(variance + self.norm.eps)
        return x.sub_(mean).mul_(scale).add_(self.norm.bias.reshape(1, -1, 1, 1)).tanh_()
