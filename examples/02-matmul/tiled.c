// Square matmul in 8 x 32 tiles held in vector registers while k runs. Needs: a CPU; N a multiple of 32.
#include <stdint.h>

typedef float lanes __attribute__((ext_vector_type(16), aligned(4)));

void matmul(const float *restrict a, const float *restrict b, float *restrict c, int64_t n) {
  // The panel of b that a column of tiles reads stays in the L1 and L2 caches, so j is the outer loop.
  for (int64_t j = 0; j < n; j += 32)
    for (int64_t i = 0; i < n; i += 8) {
      lanes tile[8][2] = {};
      for (int64_t k = 0; k < n; k++) {
        const lanes *row = (const lanes *)&b[k * n + j];
        for (int r = 0; r < 8; r++)
          for (int h = 0; h < 2; h++)
            tile[r][h] = __builtin_elementwise_fma((lanes)a[(i + r) * n + k], row[h], tile[r][h]);
      }
      for (int r = 0; r < 8; r++)
        for (int h = 0; h < 2; h++)
          *(lanes *)&c[(i + r) * n + j + 16 * h] = tile[r][h];
    }
}
