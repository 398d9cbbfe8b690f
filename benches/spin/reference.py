import numpy as np

STEPS = 250 + 1000 + 4000 + 16000


def run(x):
    state = int(x[0])
    for _ in range(STEPS):
        state = (state ^ state >> 29) * 6364136223846793005 % (1 << 64)
    return np.array([state], dtype=np.uint64).astype(np.int64)
