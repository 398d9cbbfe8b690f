// Layer norm whose two sums run in strict order, one scalar add waiting for the last. Needs: a CPU.
// planted: unvectorised
#include <math.h>
#include <stdint.h>

void layernorm(const float *restrict x, const float *restrict gain, const float *restrict bias, float *restrict y,
               int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++) {
    const float *row = &x[i * columns];
    float sum = 0, squares = 0;
    for (int64_t j = 0; j < columns; j++)
      sum += row[j];
    float mean = sum / (float)columns;
    for (int64_t j = 0; j < columns; j++)
      squares += (row[j] - mean) * (row[j] - mean);
    float scale = 1 / sqrtf(squares / (float)columns + 1e-5f);
    for (int64_t j = 0; j < columns; j++)
      y[i * columns + j] = (row[j] - mean) * scale * gain[j] + bias[j];
  }
}
