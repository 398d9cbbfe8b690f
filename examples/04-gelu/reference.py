"""GELU, the tanh form, in NumPy."""

import numpy as np


def run(x):
    u = np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (np.float32(1.0) + np.tanh(u))
