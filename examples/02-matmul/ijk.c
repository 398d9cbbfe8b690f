// Square matmul, three scalar loops in ijk order: the sum over k is in strict order, so nothing vectorises. Needs: a CPU.
// planted: unvectorised
#include <stdint.h>

void matmul(const float *restrict a, const float *restrict b, float *restrict c, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      float dot = 0;
      for (int64_t k = 0; k < n; k++)
        dot += a[i * n + k] * b[k * n + j];
      c[i * n + j] = dot;
    }
}
