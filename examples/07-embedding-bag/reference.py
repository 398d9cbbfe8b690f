"""Embedding bag, in NumPy."""


def run(table, index):
    return table[index].sum(axis=1)
