// GELU written as x / (1 + exp(-2u)) with the exponential in line, so that the loop vectorises. Needs: a CPU.
#include <stdint.h>

// exp(t), clamped to |t| <= 87: 2^n through the exponent bits times a polynomial for 2^f on [-0.5, 0.5]; relative error under 3e-7.
static inline float exp_inline(float t) {
  float raised = t > -87.0f ? t : -87.0f;
  float u = raised < 87.0f ? raised : 87.0f;
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  float biased = __builtin_fmaf(u, 1.44269504f, 12582912.0f);
  float f = __builtin_fmaf(u, 1.44269504f, 12582912.0f - biased);
  float p = __builtin_fmaf(1.32187e-3f, f, 9.6717e-3f);
  p = __builtin_fmaf(p, f, 5.550893e-2f);
  p = __builtin_fmaf(p, f, 2.4022238e-1f);
  p = __builtin_fmaf(p, f, 6.9314686e-1f);
  p = __builtin_fmaf(p, f, 1.0f);
  uint32_t scaled = __builtin_bit_cast(uint32_t, p) + (__builtin_bit_cast(uint32_t, biased) << 23);
  return __builtin_bit_cast(float, scaled);
}

void gelu(const float *restrict x, float *restrict y, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    // -2 sqrt(2/pi), and the same times 0.044715.
    float minus_2u = __builtin_fmaf(x[i] * x[i], -0.0713548163f, -1.5957691216f) * x[i];
    y[i] = x[i] / (1 + exp_inline(minus_2u));
  }
}
