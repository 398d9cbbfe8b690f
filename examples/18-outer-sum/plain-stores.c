// Sum of every pair, through the caches: every line of the output is fetched before it is overwritten. Needs: a CPU.
// planted: write-allocate-bound
#include <stdint.h>

void outer_sum(const float *restrict a, const float *restrict b, float *restrict y, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++)
      y[i * columns + j] = a[i] + b[j];
}
