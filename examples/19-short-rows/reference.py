"""Rows scaled and shifted, in NumPy."""


def run(x, scale, shift):
    return x * scale[:, None] + shift[:, None]
