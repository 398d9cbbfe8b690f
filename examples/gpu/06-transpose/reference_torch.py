"""Transpose of a matrix, in PyTorch."""


def run(x):
    return x.t().contiguous()
