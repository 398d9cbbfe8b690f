"""What `torch.compile` makes of the definition."""

import torch
import torch.nn as nn


@torch.compile
def softmax(x):
    e = torch.exp(x - x.amax(dim=1, keepdim=True))
    return e / e.sum(dim=1, keepdim=True)


class ModelNew(nn.Module):
    def forward(self, x):
        return softmax(x)
