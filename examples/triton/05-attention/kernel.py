"""Attention in one sweep over keys and values (flash attention). Needs: PyTorch and Triton (`scripts/setup --torch`).

kinstr opt compiles the kernel without a GPU, as the next line says:
"""
# kinstr: kernel=attention_kernel(*fp16:16, *fp16:16, *fp16:16, *fp16:16, i32:16, fp32, 64, 128, 64) warps=4 stages=3

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, length, scale, WIDTH: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr
):
    head = tl.program_id(1).to(tl.int64) * length * WIDTH
    rows = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    columns, width = tl.arange(0, KEYS), tl.arange(0, WIDTH)
    own = head + rows[:, None] * WIDTH + width[None, :]
    q = tl.load(q_ptr + own, mask=rows[:, None] < length, other=0.0)

    # Maximum and sum of exponentials so far; what was added up under an older maximum is scaled down.
    highest = tl.full([QUERIES], -float("inf"), dtype=tl.float32)
    total = tl.zeros([QUERIES], dtype=tl.float32)
    sums = tl.zeros([QUERIES, WIDTH], dtype=tl.float32)
    for start in range(0, length, KEYS):
        keys = start + columns
        there = keys < length
        k = tl.load(k_ptr + head + width[:, None] + keys[None, :] * WIDTH, mask=there[None, :], other=0.0)
        scores = tl.where(there[None, :], tl.dot(q, k) * scale, -float("inf"))
        higher = tl.maximum(highest, tl.max(scores, 1))
        weights = tl.exp2(scores - higher[:, None])
        older = tl.exp2(highest - higher)
        total = total * older + tl.sum(weights, 1)
        v = tl.load(v_ptr + head + keys[:, None] * WIDTH + width[None, :], mask=there[:, None], other=0.0)
        sums = tl.dot(weights.to(tl.float16), v, sums * older[:, None])
        highest = higher
    tl.store(out_ptr + own, (sums / total[:, None]).to(tl.float16), mask=rows[:, None] < length)


class ModelNew(nn.Module):
    def forward(self, q, k, v):
        out = torch.empty_like(q)
        heads, length, width = q.shape
        # To the base 2, whose exponential is one instruction.
        scale = 1.4426950408889634 / width**0.5
        grid = (triton.cdiv(length, 128), heads)
        attention_kernel[grid](q, k, v, out, length, scale, width, 128, 64, num_warps=4, num_stages=3)
        return out
