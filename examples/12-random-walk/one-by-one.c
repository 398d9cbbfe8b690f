// Random walks, one walker after the other: each step waits for the load before. Needs: a CPU.
// planted: cache-latency-bound
#include <stdint.h>

enum { STEPS = 1024 };

void random_walk(const int32_t *restrict next, const float *restrict weight, const int32_t *restrict start,
                 float *restrict y, int64_t nodes, int64_t walkers) {
  (void)nodes;
  for (int64_t w = 0; w < walkers; w++) {
    int32_t at = start[w];
    float total = 0;
    for (int s = 0; s < STEPS; s++) {
      total += weight[at];
      at = next[at];
    }
    y[w] = total;
  }
}
