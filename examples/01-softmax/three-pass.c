// Softmax over rows in three separate sweeps over the matrix, each of them vectorised. Needs: a CPU; N a multiple of 16.
// planted: redundant-passes
#include <kinstr.h>
#include <math.h>
#include <stdint.h>

typedef float lanes __attribute__((ext_vector_type(16), aligned(4)));
typedef int32_t bits __attribute__((ext_vector_type(16)));

// exp(t) for t <= 0: 2^n through the exponent bits times a polynomial for 2^f on [-0.5, 0.5]; relative error under 3e-7.
static inline lanes exp_lanes(lanes t) {
  lanes u = __builtin_elementwise_max(t, (lanes)-87.0f);
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  lanes biased = __builtin_elementwise_fma(u, (lanes)1.44269504f, (lanes)12582912.0f);
  lanes f = __builtin_elementwise_fma(u, (lanes)1.44269504f, 12582912.0f - biased);
  lanes p = __builtin_elementwise_fma((lanes)1.32187e-3f, f, (lanes)9.6717e-3f);
  p = __builtin_elementwise_fma(p, f, (lanes)5.550893e-2f);
  p = __builtin_elementwise_fma(p, f, (lanes)2.4022238e-1f);
  p = __builtin_elementwise_fma(p, f, (lanes)6.9314686e-1f);
  p = __builtin_elementwise_fma(p, f, (lanes)1.0f);
  return (lanes)((bits)p + ((bits)biased << 23));
}

void softmax(const float *restrict x, float *restrict y, int64_t rows, int64_t columns) {
  float max[rows], sum[rows];

  // First sweep: the maximum of each row.
  KINSTR_REGION("maxima")
  for (int64_t i = 0; i < rows; i++) {
    lanes m = -INFINITY;
    for (int64_t j = 0; j < columns; j += 16)
      m = __builtin_elementwise_max(m, *(const lanes *)&x[i * columns + j]);
    max[i] = __builtin_reduce_max(m);
  }

  // Second sweep: exponentials and their sum.
  KINSTR_REGION("exponentials")
  for (int64_t i = 0; i < rows; i++) {
    lanes s = 0;
    for (int64_t j = 0; j < columns; j += 16) {
      lanes e = exp_lanes(*(const lanes *)&x[i * columns + j] - max[i]);
      *(lanes *)&y[i * columns + j] = e;
      s += e;
    }
    sum[i] = 0;
    for (int l = 0; l < 16; l++)
      sum[i] += s[l];
  }

  // Third sweep: divide each row by its sum.
  KINSTR_REGION("division")
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j += 16)
      *(lanes *)&y[i * columns + j] *= 1 / sum[i];
}
