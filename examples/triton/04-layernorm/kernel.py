"""Layer normalisation in three sweeps over a row by blocks. Needs: PyTorch and Triton (`scripts/setup --torch`).

kinstr opt compiles the kernel without a GPU, as the next line says:
"""
# kinstr: kernel=layernorm_kernel(*fp32:16, *fp32:16, *fp32:16, *fp32:16, i32:16, 1e-5, 1024) warps=4

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def layernorm_kernel(x_ptr, y_ptr, weight_ptr, bias_ptr, columns, EPS: tl.constexpr, BLOCK: tl.constexpr):
    x_ptr += tl.program_id(0).to(tl.int64) * columns
    y_ptr += tl.program_id(0).to(tl.int64) * columns
    lanes = tl.arange(0, BLOCK)

    sums = tl.zeros([BLOCK], dtype=tl.float32)
    for start in range(0, columns, BLOCK):
        sums += tl.load(x_ptr + start + lanes, mask=start + lanes < columns, other=0.0)
    mean = tl.sum(sums, axis=0) / columns

    squares = tl.zeros([BLOCK], dtype=tl.float32)
    for start in range(0, columns, BLOCK):
        inside = start + lanes < columns
        x = tl.load(x_ptr + start + lanes, mask=inside, other=0.0)
        distance = tl.where(inside, x - mean, 0.0)
        squares += distance * distance
    scale = 1 / tl.sqrt(tl.sum(squares, axis=0) / columns + EPS)

    for start in range(0, columns, BLOCK):
        inside = start + lanes < columns
        x = tl.load(x_ptr + start + lanes, mask=inside, other=0.0)
        weight = tl.load(weight_ptr + start + lanes, mask=inside)
        bias = tl.load(bias_ptr + start + lanes, mask=inside)
        tl.store(y_ptr + start + lanes, (x - mean) * scale * weight + bias, mask=inside)


class ModelNew(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.norm = nn.LayerNorm(columns)

    def forward(self, x):
        y = torch.empty_like(x)
        rows, columns = x.shape
        layernorm_kernel[(rows,)](x, y, self.norm.weight, self.norm.bias, columns, 1e-5, 1024, num_warps=4)
        return y
