"""The same with scopes of Triton's profiler, which are regions to kinstr. Needs: PyTorch and Triton (`scripts/setup --torch`).

kinstr opt compiles the kernel without a GPU, as the next line says:
"""
# kinstr: kernel=softmax_kernel(*fp32:16, *fp32:16, i32:16, i32:16, i32:16, i32:16, 4096) warps=8 stages=2

import torch
import torch.nn as nn
import triton
import triton.language as tl
import triton.profiler.language as pl


@triton.jit
def softmax_kernel(x_ptr, y_ptr, x_stride, y_stride, rows, columns, BLOCK: tl.constexpr):
    lanes = tl.arange(0, BLOCK)
    inside = lanes < columns
    # A program takes every so manieth row: the next one is loaded while this one is computed.
    for row in tl.range(tl.program_id(0), rows, tl.num_programs(0)):
        with pl.scope("load"):
            x = tl.load(x_ptr + row * x_stride + lanes, mask=inside, other=-float("inf"))
        with pl.scope("reduction"):
            e = tl.exp(x - tl.max(x, axis=0))
            y = e / tl.sum(e, axis=0)
        tl.store(y_ptr + row * y_stride + lanes, y, mask=inside)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        rows, columns = x.shape
        block = triton.next_power_of_2(columns)
        softmax_kernel[(min(rows, 1056),)](
            x, y, x.stride(0), y.stride(0), rows, columns, BLOCK=block, num_warps=8, num_stages=2
        )
        return y
