"""Causal self-attention of several heads. Needs: PyTorch (`scripts/setup --torch`)."""

import math

import torch
import torch.nn as nn

BATCH, LENGTH, WIDTH, HEADS = 2, 64, 64, 4


class Model(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.inner = nn.Linear(width, 3 * width)
        self.outer = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.inner(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        y = torch.softmax(scores.masked_fill(hidden, float("-inf")), dim=-1) @ v
        return self.outer(y.transpose(1, 2).reshape(batch, length, width))


def get_inputs():
    return [torch.randn(BATCH, LENGTH, WIDTH)]


def get_init_inputs():
    return [WIDTH, HEADS]
