"""Random walks, in NumPy: all walkers take a step together."""

import numpy as np

STEPS = 1024


def run(next, weight, start):
    at, total = start, np.zeros(len(start), np.float32)
    for _ in range(STEPS):
        total += weight[at]
        at = next[at]
    return total
