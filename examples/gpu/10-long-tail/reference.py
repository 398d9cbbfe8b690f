"""Sums of rows of very different length, in NumPy. The number of rows is the output's, and known by that of pieces."""

import numpy as np

LAST = 500


def run(x):
    pieces = x.sum(axis=1, dtype=np.int32)
    rows = len(pieces) - LAST + 1
    return np.append(pieces[: rows - 1], pieces[rows - 1 :].sum(dtype=np.int32)).astype(np.int32)
