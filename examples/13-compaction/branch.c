// Stream compaction with a branch on every element, which on random data is guessed wrong half the time. Needs: a CPU.
// planted: branch-misprediction-bound
#include <stdint.h>

void compaction(const float *restrict x, float *restrict y, int64_t n) {
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++)
    if (x[i] > 0)
      y[kept++] = x[i];
  for (int64_t i = kept; i < n; i++)
    y[i] = -1;
}
