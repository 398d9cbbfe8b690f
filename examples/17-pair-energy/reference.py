"""Energies of pairs, in NumPy."""

import numpy as np


def run(x):
    distance = x[:, None] - x
    return np.tril(1 / (1 + distance * distance), -1).sum(axis=1)
