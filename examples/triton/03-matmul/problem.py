"""Product of two square matrices in half precision, in KernelBench form. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

N = 2048


class Model(nn.Module):
    def forward(self, a, b):
        return a @ b


def get_inputs():
    return [torch.randn(N, N).half(), torch.randn(N, N).half()]


def get_init_inputs():
    return []
