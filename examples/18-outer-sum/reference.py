"""Sum of every pair of two vectors, in NumPy."""


def run(a, b):
    return a[:, None] + b
