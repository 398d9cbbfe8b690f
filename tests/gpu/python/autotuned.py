"""A row a program, with as many warps as Triton's autotuner finds best in the first call. Needs: an NVIDIA GPU, PyTorch and Triton."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.autotune(configs=[triton.Config({}, num_warps=warps) for warps in (1, 4, 8, 16)], key=["width"])
@triton.heuristics({"BLOCK": lambda arguments: triton.next_power_of_2(arguments["width"])})
@triton.jit
def softmax_kernel(y, x, stride, width, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    values = tl.load(x + row * stride + columns, mask=inside, other=float("-inf"))
    values = tl.exp(values - tl.max(values, axis=0))
    tl.store(y + row * stride + columns, values / tl.sum(values, axis=0), mask=inside)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        rows, width = x.shape
        softmax_kernel[(rows,)](y, x, x.stride(0), width)
        return y
