"""Experts of two layers, mixed by a gate. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn
import torch.nn.functional as F

BATCH, WIDTH, INNER, EXPERTS = 64, 64, 128, 4


class Model(nn.Module):
    def __init__(self, width, inner, experts):
        super().__init__()
        self.gate = nn.Linear(width, experts)
        self.rise = nn.Parameter(torch.randn(experts, width, inner) / width**0.5)
        self.fall = nn.Parameter(torch.randn(experts, inner, width) / inner**0.5)

    def forward(self, x):
        weights = torch.softmax(self.gate(x), dim=-1)
        y = torch.zeros_like(x)
        for expert in range(self.rise.shape[0]):
            hidden = F.gelu(x @ self.rise[expert])
            y = y + weights[:, expert : expert + 1] * (hidden @ self.fall[expert])
        return y


def get_inputs():
    return [torch.randn(BATCH, WIDTH)]


def get_init_inputs():
    return [WIDTH, INNER, EXPERTS]
