"""Attention of several heads in half precision, in KernelBench form. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn
import torch.nn.functional as F

HEADS, LENGTH, WIDTH = 32, 2048, 64


class Model(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)


def get_inputs():
    return [torch.randn(HEADS, LENGTH, WIDTH).half() for _ in range(3)]


def get_init_inputs():
    return []
