"""Steps of a linear recurrence, more of them in the middle third, in NumPy."""

import numpy as np

STEPS = (65536, 262144, 65536)
KEPT = np.float32(0.99)


def run(x):
    y = x.copy()
    for part, of, steps in zip(np.split(y, 3), np.split(x, 3), STEPS):
        for _ in range(steps):
            part *= KEPT
            part += of
    return y
