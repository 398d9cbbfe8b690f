"""Sixteen launches of two kernels in turns, each of a part of the rows. Needs: an NVIDIA GPU, PyTorch and Triton."""

import torch
import torch.nn as nn
import triton
import triton.language as tl

PARTS = 8


@triton.jit
def exponentials_kernel(y, x, stride, width, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    values = tl.load(x + row * stride + columns, mask=inside, other=float("-inf"))
    tl.store(y + row * stride + columns, tl.exp(values - tl.max(values, axis=0)), mask=inside)


@triton.jit
def normalise_kernel(y, stride, width, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    values = tl.load(y + row * stride + columns, mask=inside, other=0.0)
    tl.store(y + row * stride + columns, values / tl.sum(values, axis=0), mask=inside)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        block = triton.next_power_of_2(x.shape[1])
        for part, result in zip(x.chunk(PARTS), y.chunk(PARTS)):
            rows, width = part.shape
            exponentials_kernel[(rows,)](result, part, part.stride(0), width, BLOCK=block)
            normalise_kernel[(rows,)](result, result.stride(0), width, BLOCK=block)
        return y
