// Sum of every pair, stored past the caches. Needs: a CPU; N a multiple of 16.
#include <stdint.h>

typedef float lanes __attribute__((ext_vector_type(16)));
typedef float unaligned __attribute__((ext_vector_type(16), aligned(4)));

void outer_sum(const float *restrict a, const float *restrict b, float *restrict y, int64_t rows, int64_t columns) {
  // The buffers of kinstr begin on a cache line, and so does every sixteenth element.
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j += 16)
      __builtin_nontemporal_store(a[i] + *(const unaligned *)&b[j], (lanes *)&y[i * columns + j]);
}
