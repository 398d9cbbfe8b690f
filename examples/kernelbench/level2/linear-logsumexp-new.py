"""The logarithm of summed exponentials with the maximum taken off by hand. Needs: PyTorch (`scripts/setup --torch`)."""

import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x):
        x = self.linear(x)
        top = x.amax(dim=1, keepdim=True)
        return x.sub_(top).exp_().sum(dim=1, keepdim=True).log_().add_(top)
