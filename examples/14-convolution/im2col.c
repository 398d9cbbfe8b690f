// Convolution through a matrix of shifted copies, which takes 36 MiB of fresh memory in every call. Needs: a CPU.
// planted: page-fault-bound
#include <stdint.h>
#include <stdlib.h>

enum { TAPS = 9 };

void convolution(const float *restrict x, const float *restrict w, float *restrict y, int64_t p, int64_t n) {
  (void)p;
  float *columns = malloc(TAPS * n * sizeof *columns);
  if (!columns)
    abort();
  for (int64_t k = 0; k < TAPS; k++)
    for (int64_t i = 0; i < n; i++)
      columns[k * n + i] = x[i + k];
  for (int64_t i = 0; i < n; i++) {
    float sum = 0;
    for (int64_t k = 0; k < TAPS; k++)
      sum += w[k] * columns[k * n + i];
    y[i] = sum;
  }
  free(columns);
}
