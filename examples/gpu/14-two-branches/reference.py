"""Two recurrences, one for even and one for odd elements, in NumPy."""

import numpy as np

STEPS = 256
KEPT = np.float32(0.99)
TURNED = np.float32(-0.98)


def run(x):
    even, odd = x[0::2].copy(), x[1::2].copy()
    for _ in range(STEPS):
        even = even * KEPT + x[0::2]
        odd = (odd + x[1::2]) * TURNED
    y = np.empty_like(x)
    y[0::2], y[1::2] = even, odd
    return y
