"""Product of a matrix and a vector, in NumPy."""


def run(a, x):
    return a @ x
