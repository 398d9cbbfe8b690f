// Random walks, sixteen walkers side by side: their loads wait together. Needs: a CPU; W a multiple of 16.
#include <stdint.h>

enum { STEPS = 1024, SIDE = 16 };

void random_walk(const int32_t *restrict next, const float *restrict weight, const int32_t *restrict start,
                 float *restrict y, int64_t nodes, int64_t walkers) {
  (void)nodes;
  for (int64_t w = 0; w < walkers; w += SIDE) {
    int32_t at[SIDE];
    float total[SIDE] = {};
    for (int i = 0; i < SIDE; i++)
      at[i] = start[w + i];
    for (int s = 0; s < STEPS; s++)
      for (int i = 0; i < SIDE; i++) {
        total[i] += weight[at[i]];
        at[i] = next[at[i]];
      }
    for (int i = 0; i < SIDE; i++)
      y[w + i] = total[i];
  }
}
