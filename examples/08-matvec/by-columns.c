// Matrix times vector by columns of a row-major matrix: neighbouring steps are a whole row apart. Needs: a CPU.
// planted: poor-locality
#include <stdint.h>

void matvec(const float *restrict a, const float *restrict x, float *restrict y, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++)
    y[i] = 0;
  for (int64_t j = 0; j < columns; j++)
    for (int64_t i = 0; i < rows; i++)
      y[i] += a[i * columns + j] * x[j];
}
