"""Sums by group, in NumPy."""

import numpy as np


def run(x, group):
    return np.bincount(group, weights=x, minlength=4).astype(np.float32)
