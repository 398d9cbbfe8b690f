// Matrix times vector by rows, each row read once from end to end. Needs: a CPU.
#include <stdint.h>

void matvec(const float *restrict a, const float *restrict x, float *restrict y, int64_t rows, int64_t columns) {
#pragma clang fp reassociate(on)
  for (int64_t i = 0; i < rows; i++) {
    float dot = 0;
    for (int64_t j = 0; j < columns; j++)
      dot += a[i * columns + j] * x[j];
    y[i] = dot;
  }
}
