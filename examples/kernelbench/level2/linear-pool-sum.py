"""A linear layer, maxima of pairs, and their scaled sum. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, INPUTS, OUTPUTS = 64, 256, 256


class Model(nn.Module):
    def __init__(self, inputs, outputs, window, scale):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.pool = nn.MaxPool1d(window)
        self.scale = scale

    def forward(self, x):
        x = self.pool(self.linear(x).unsqueeze(1)).squeeze(1)
        return torch.sum(x, dim=1) * self.scale


def get_inputs():
    return [torch.randn(BATCH, INPUTS)]


def get_init_inputs():
    return [INPUTS, OUTPUTS, 2, 0.5]
