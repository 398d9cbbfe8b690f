// Decay of channels, with zero for what is too small to be a normal number. Needs: a CPU; C a multiple of 128.
#include <float.h>
#include <stdint.h>

enum { STEPS = 4096, LANES = 128 };

void decay(const float *restrict start, const float *restrict rate, float *restrict total, int64_t channels) {
  for (int64_t c = 0; c < channels; c += LANES) {
    float amplitude[LANES], divisor[LANES], sum[LANES];
    for (int l = 0; l < LANES; l++) {
      amplitude[l] = start[c + l];
      divisor[l] = 1 + rate[c + l];
      sum[l] = 0;
    }
    for (int t = 0; t < STEPS; t++)
      for (int l = 0; l < LANES; l++) {
        amplitude[l] /= divisor[l];
        amplitude[l] = amplitude[l] < FLT_MIN ? 0 : amplitude[l];
        sum[l] += amplitude[l];
      }
    for (int l = 0; l < LANES; l++)
      total[c + l] = sum[l];
  }
}
