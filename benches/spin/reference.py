import numpy as np

# Each length as often as makes 16,000 steps of it.
STEPS = 4 * 16000


def run(x):
    state = int(x[0])
    for _ in range(STEPS):
        state = (state ^ state >> 29) * 6364136223846793005 % (1 << 64)
    return np.array([state], dtype=np.uint64).astype(np.int64)
