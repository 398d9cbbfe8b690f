// Prefix sum in blocks of sixteen: within a block four shifted adds, from block to block one. Needs: a CPU; N a multiple of 16.
#include <stdint.h>

typedef float lanes __attribute__((ext_vector_type(16), aligned(4)));

// Moves the lanes up, as many as there are 16s: lane 16 of the pair is the first zero.
#define SHIFT(v, ...) __builtin_shufflevector(v, (lanes)0, __VA_ARGS__)

void prefix_sum(const float *restrict x, float *restrict y, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; i += 16) {
    lanes v = *(const lanes *)&x[i];
    v += SHIFT(v, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
    v += SHIFT(v, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
    v += SHIFT(v, 16, 16, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    v += SHIFT(v, 16, 16, 16, 16, 16, 16, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7);
    *(lanes *)&y[i] = v + sum;
    sum += v[15];
  }
}
