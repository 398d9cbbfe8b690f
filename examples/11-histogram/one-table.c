// Histogram with one table: an increment waits until the last one of its bin is in memory. Needs: a CPU.
// planted: dependency-bound
#include <stdint.h>

enum { BINS = 4 };

void histogram(const int32_t *restrict label, int32_t *restrict count, int64_t n) {
  for (int b = 0; b < BINS; b++)
    count[b] = 0;
  for (int64_t i = 0; i < n; i++)
    count[label[i]]++;
}
