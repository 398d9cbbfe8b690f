"""Softplus by its definition. Needs: PyTorch (`scripts/setup --torch`)."""

import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.linear(x).exp_().log1p_().clamp_(0.5, 2.0)
