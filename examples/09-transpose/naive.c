// Transposition element by element: reads along rows, writes a whole row apart. Needs: a CPU.
// planted: poor-locality
#include <stdint.h>

void transpose(const float *restrict x, float *restrict y, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++)
      y[j * rows + i] = x[i * columns + j];
}
