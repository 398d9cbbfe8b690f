"""Mean squared error as a dot product. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def forward(self, predictions, targets):
        difference = (predictions - targets).reshape(-1)
        return torch.dot(difference, difference) / difference.numel()
