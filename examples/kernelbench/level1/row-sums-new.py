"""Row sums as a product with ones. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def forward(self, x):
        return x @ torch.ones(x.shape[1], 1)
