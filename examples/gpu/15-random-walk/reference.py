"""Random walks, in NumPy: all walkers take a step together."""

import numpy as np

STEPS = 32


def run(next, row, start):
    at, total = start, np.zeros((len(start), row.shape[1]), np.int32)
    for _ in range(STEPS):
        total += row[at]
        at = next[at]
    return total
