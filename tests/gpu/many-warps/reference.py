"""Two linear recurrences, one after the other, in NumPy."""

import numpy as np

KEPT = np.float32(0.99)


def run(x, w):
    y = x.copy()
    for step in w:
        y = y * KEPT + step
    for _ in w:
        y = y * KEPT + x
    return y
