// Embedding bag, each row fetched when it is needed: the misses of the cache are waited for. Needs: a CPU.
// planted: cache-latency-bound
#include <stdint.h>

enum { L = 16, D = 16 };

void embedding_bag(const float *restrict table, const int32_t *restrict index, float *restrict y, int64_t v, int64_t bags) {
  (void)v;
  for (int64_t b = 0; b < bags; b++) {
    float sum[D] = {};
    for (int l = 0; l < L; l++)
      for (int d = 0; d < D; d++)
        sum[d] += table[(int64_t)index[b * L + l] * D + d];
    for (int d = 0; d < D; d++)
      y[b * D + d] = sum[d];
  }
}
