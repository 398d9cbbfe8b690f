"""The same with a scope of Triton's profiler, which is a region to kinstr. Needs: PyTorch and Triton (`scripts/setup --torch`).

kinstr opt compiles the kernel without a GPU, as the next lines say:
"""
# kinstr: kernel=matmul_kernel(*fp16:16, *fp16:16, *fp16:16, i32:16, i32:16, i32:16, 128, 128, 64, 8) warps=4 stages=3

import torch
import torch.nn as nn
import triton
import triton.language as tl
import triton.profiler.language as pl


@triton.jit
def matmul_kernel(
    a_ptr, b_ptr, c_ptr, M, N, K, TILE_M: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr, GROUP: tl.constexpr
):
    # Programs that run at the same time share rows of tiles, so that the L2 cache holds what they read.
    program = tl.program_id(0)
    across, down = tl.cdiv(N, TILE_N), tl.cdiv(M, TILE_M)
    group = program // (GROUP * across)
    height = min(down - group * GROUP, GROUP)
    tile_m = group * GROUP + program % (GROUP * across) % height
    tile_n = program % (GROUP * across) // height

    m = (tile_m * TILE_M + tl.arange(0, TILE_M)) % M
    n = (tile_n * TILE_N + tl.arange(0, TILE_N)) % N
    k = tl.arange(0, TILE_K)
    a_ptrs = a_ptr + m[:, None] * K + k[None, :]
    b_ptrs = b_ptr + k[:, None] * N + n[None, :]
    sums = tl.zeros((TILE_M, TILE_N), dtype=tl.float32)
    for step in range(0, tl.cdiv(K, TILE_K)):
        with pl.scope("body"):
            rest = K - step * TILE_K
            a = tl.load(a_ptrs, mask=k[None, :] < rest, other=0.0)
            b = tl.load(b_ptrs, mask=k[:, None] < rest, other=0.0)
            sums = tl.dot(a, b, sums)
            a_ptrs += TILE_K
            b_ptrs += TILE_K * N

    m = tile_m * TILE_M + tl.arange(0, TILE_M)
    n = tile_n * TILE_N + tl.arange(0, TILE_N)
    inside = (m[:, None] < M) & (n[None, :] < N)
    tl.store(c_ptr + m[:, None] * N + n[None, :], sums.to(tl.float16), mask=inside)


class ModelNew(nn.Module):
    def forward(self, a, b):
        (M, K), N = a.shape, b.shape[1]
        c = torch.empty((M, N), device=a.device, dtype=a.dtype)
        grid = (triton.cdiv(M, 128) * triton.cdiv(N, 128),)
        matmul_kernel[grid](a, b, c, M, N, K, 128, 128, 64, 8, num_warps=4, num_stages=3)
        return c
