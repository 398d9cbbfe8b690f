"""Histogram of class labels, in NumPy."""

import numpy as np


def run(label):
    return np.bincount(label, minlength=64).astype(np.int32)
