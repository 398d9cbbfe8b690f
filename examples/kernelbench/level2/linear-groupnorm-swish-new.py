"""Group normalisation of rows by hand, and swish as one op. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs, groups):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.GroupNorm(groups, outputs)

    def forward(self, x):
        groups = self.linear(x).reshape(x.shape[0], self.norm.num_groups, -1)
        variance, mean = torch.var_mean(groups, dim=-1, correction=0, keepdim=True)
        normal = ((groups - mean) * torch.rsqrt(variance + self.norm.eps)).reshape(x.shape[0], -1)
        return F.silu(torch.addcmul(self.norm.bias, normal, self.norm.weight))
