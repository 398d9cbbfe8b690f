"""Softmax by several kernels in several launches, between operations of PyTorch's. Needs: an NVIDIA GPU, PyTorch and Triton."""

import torch
import torch.nn as nn
import triton
import triton.language as tl

PARTS = 4


@triton.autotune(configs=[triton.Config({}, num_warps=warps) for warps in (4, 8)], key=["width"])
@triton.jit
def exponents_kernel(e, x, most, first, width, BLOCK: tl.constexpr):
    row = first + tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    values = tl.load(x + row * width + columns, mask=inside)
    tl.store(e + row * width + columns, tl.exp(values - tl.load(most + row)), mask=inside)


@triton.jit
def sums_kernel(sums, e, width, BLOCK: tl.constexpr):
    row, part = tl.program_id(0), tl.program_id(1)
    columns = part * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(e + row * width + columns, mask=columns < width, other=0.0)
    tl.atomic_add(sums + row, tl.sum(values, axis=0))


class ModelNew(nn.Module):
    def forward(self, x):
        rows, width = x.shape
        most = x.amax(dim=1)
        e, sums = torch.empty_like(x), torch.zeros(rows, device=x.device)
        block = triton.next_power_of_2(width)
        for part in range(PARTS):
            exponents_kernel[(rows // PARTS,)](e, x, most, part * (rows // PARTS), width, BLOCK=block)
        sums_kernel[(rows, 2)](sums, e, width, BLOCK=block // 2)
        return e / sums[:, None]
