// Unit vectors with a square root and three divisions each: the divider is busy all the time. Needs: a CPU.
// planted: port-bound
#include <stdint.h>

void unit_vectors(const float *restrict v, float *restrict u, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float x = v[i], y = v[n + i], z = v[2 * n + i];
    float length = __builtin_elementwise_sqrt(x * x + y * y + z * z);
    u[i] = x / length;
    u[n + i] = y / length;
    u[2 * n + i] = z / length;
  }
}
