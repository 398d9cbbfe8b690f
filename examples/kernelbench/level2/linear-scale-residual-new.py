"""The scale and the residual in one addition. Needs: PyTorch (`scripts/setup --torch`)."""

import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs, scale):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.scale = scale

    def forward(self, x):
        return self.linear(x).mul_(1.0 + self.scale)
