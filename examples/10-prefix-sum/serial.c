// Prefix sum, one running sum: every add waits for the one before. Needs: a CPU.
// planted: dependency-bound
#include <stdint.h>

void prefix_sum(const float *restrict x, float *restrict y, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; i++)
    y[i] = sum += x[i];
}
