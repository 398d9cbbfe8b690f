"""A linear layer, softplus, and a clamp. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn
import torch.nn.functional as F

BATCH, INPUTS, OUTPUTS = 128, 128, 256


class Model(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x):
        return torch.clamp(F.softplus(self.linear(x)), 0.5, 2.0)


def get_inputs():
    return [torch.randn(BATCH, INPUTS)]


def get_init_inputs():
    return [INPUTS, OUTPUTS]
