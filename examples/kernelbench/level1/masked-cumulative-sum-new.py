"""Running sums with the mask multiplied in. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def forward(self, x, mask):
        return torch.cumsum(x * mask, dim=1)
