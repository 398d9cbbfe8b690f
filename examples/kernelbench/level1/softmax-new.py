"""Softmax by its definition, in place where it can be. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def forward(self, x):
        e = torch.exp(x - x.amax(dim=1, keepdim=True))
        return e.div_(e.sum(dim=1, keepdim=True))
