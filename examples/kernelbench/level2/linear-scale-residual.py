"""A linear layer, scaled, with what it was before added. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, INPUTS, OUTPUTS, SCALE = 128, 256, 256, 0.5


class Model(nn.Module):
    def __init__(self, inputs, outputs, scale):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.scale = scale

    def forward(self, x):
        x = self.linear(x)
        return x * self.scale + x.clone().detach()


def get_inputs():
    return [torch.randn(BATCH, INPUTS)]


def get_init_inputs():
    return [INPUTS, OUTPUTS, SCALE]
