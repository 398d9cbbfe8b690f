"""Random walks, in NumPy: all walkers take a step together."""

import numpy as np

STEPS = 64


def run(next, weight, start):
    at, total = start, np.zeros(len(start), np.int32)
    for _ in range(STEPS):
        total += weight[at]
        at = next[at]
    return total
