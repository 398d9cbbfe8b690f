"""Steps of a linear recurrence, in NumPy."""

import numpy as np

STEPS = 8192 + 128 * 64
KEPT = np.float32(0.99)


def run(x):
    y = x.copy()
    for _ in range(STEPS):
        y *= KEPT
        y += x
    return y
