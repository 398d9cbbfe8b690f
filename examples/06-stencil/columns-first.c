// 5-point stencil, columns in the outer loop: neighbouring steps are a whole row apart. Needs: a CPU.
// planted: poor-locality
#include <stdint.h>
#include <string.h>

void stencil(const float *restrict x, float *restrict y, int64_t rows, int64_t columns) {
  for (int64_t j = 1; j < columns - 1; j++)
    for (int64_t i = 1; i < rows - 1; i++) {
      const float *c = &x[i * columns + j];
      float around = c[-columns] + c[columns] + c[-1] + c[1];
      y[i * columns + j] = *c + 0.2f * (around - 4 * *c);
    }

  // The border.
  int64_t last = (rows - 1) * columns;
  memcpy(y, x, columns * sizeof *x);
  memcpy(&y[last], &x[last], columns * sizeof *x);
  for (int64_t i = 0; i < rows; i++) {
    y[i * columns] = x[i * columns];
    y[i * columns + columns - 1] = x[i * columns + columns - 1];
  }
}
