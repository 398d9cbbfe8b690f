// Short rows, sixteen elements at a time and what is left in one masked step. Needs: a CPU with AVX-512.
#include <stdint.h>

void short_rows(const float *restrict x, const float *restrict scale, const float *restrict shift, float *restrict y,
                int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++) {
#pragma clang loop vectorize_width(16) interleave_count(1) vectorize_predicate(enable)
    for (int64_t j = 0; j < columns; j++)
      y[i * columns + j] = x[i * columns + j] * scale[i] + shift[i];
  }
}
