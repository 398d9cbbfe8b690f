"""Inclusive prefix sum, in NumPy."""

import numpy as np


def run(x):
    return np.cumsum(x, dtype=np.float64).astype(np.float32)
