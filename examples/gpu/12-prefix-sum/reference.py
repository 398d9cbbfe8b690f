"""Inclusive prefix sums along rows, in NumPy."""

import numpy as np


def run(x):
    return np.cumsum(x, axis=1, dtype=np.int32)
