"""Mean squared error of predictions. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, SIZE = 128, 1024


class Model(nn.Module):
    def forward(self, predictions, targets):
        return torch.mean((predictions - targets) ** 2)


def get_inputs():
    return [torch.randn(BATCH, SIZE), torch.randn(BATCH, SIZE)]


def get_init_inputs():
    return []
