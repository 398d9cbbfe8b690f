"""A linear layer, group normalisation and swish. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, INPUTS, OUTPUTS, GROUPS = 64, 128, 256, 16


class Model(nn.Module):
    def __init__(self, inputs, outputs, groups):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.GroupNorm(groups, outputs)

    def forward(self, x):
        x = self.norm(self.linear(x))
        return torch.sigmoid(x) * x


def get_inputs():
    return [torch.randn(BATCH, INPUTS)]


def get_init_inputs():
    return [INPUTS, OUTPUTS, GROUPS]
