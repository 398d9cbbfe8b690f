// Stream compaction that writes every element and moves on only past those it keeps. Needs: a CPU.
#include <stdint.h>

void compaction(const float *restrict x, float *restrict y, int64_t n) {
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++) {
    y[kept] = x[i];
    kept += x[i] > 0;
  }
  for (int64_t i = kept; i < n; i++)
    y[i] = -1;
}
