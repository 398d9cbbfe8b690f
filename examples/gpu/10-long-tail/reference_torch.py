"""Sums of rows of very different length, in PyTorch. The number of rows is the output's, and known by that of pieces."""

import torch

LAST = 500


def run(x):
    pieces = torch.sum(x, dim=1, dtype=torch.int32)
    rows = len(pieces) - LAST + 1
    last = torch.sum(pieces[rows - 1 :], dim=0, keepdim=True, dtype=torch.int32)
    return torch.cat([pieces[: rows - 1], last])
