// Transposition in 16 x 16 tiles: both sides move whole cache lines. Needs: a CPU; M and N multiples of 16.
#include <stdint.h>

void transpose(const float *restrict x, float *restrict y, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i += 16)
    for (int64_t j = 0; j < columns; j += 16) {
      float tile[16][16];
      for (int r = 0; r < 16; r++)
        for (int c = 0; c < 16; c++)
          tile[c][r] = x[(i + r) * columns + j + c];
      for (int c = 0; c < 16; c++)
        for (int r = 0; r < 16; r++)
          y[(j + c) * rows + i + r] = tile[c][r];
    }
}
