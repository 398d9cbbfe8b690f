// Sums of rows with eight vector accumulators, added up as a tree. Needs: a CPU.
#include <stdint.h>

void row_sum(const float *restrict x, float *restrict y, int64_t rows, int64_t columns) {
#pragma clang fp reassociate(on)
  for (int64_t i = 0; i < rows; i++) {
    float sum = 0;
#pragma clang loop vectorize_width(16) interleave_count(8)
    for (int64_t j = 0; j < columns; j++)
      sum += x[i * columns + j];
    y[i] = sum;
  }
}
