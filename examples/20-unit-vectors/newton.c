// Unit vectors without the divider: the inverse root is guessed from the bits and refined three times. Needs: a CPU.
#include <stdint.h>

// 1 / sqrt(s) for normal s: half the exponent gives 3 %, and each Newton step squares the error.
static inline float inverse_root(float s) {
  float r = __builtin_bit_cast(float, 0x5f3759df - (__builtin_bit_cast(int32_t, s) >> 1));
  for (int step = 0; step < 3; step++)
    r *= 1.5f - 0.5f * s * r * r;
  return r;
}

void unit_vectors(const float *restrict v, float *restrict u, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float x = v[i], y = v[n + i], z = v[2 * n + i];
    float inverse = inverse_root(x * x + y * y + z * z);
    u[i] = x * inverse;
    u[n + i] = y * inverse;
    u[2 * n + i] = z * inverse;
  }
}
