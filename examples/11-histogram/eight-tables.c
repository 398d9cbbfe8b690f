// Histogram with eight tables taken in turns, added up at the end: increments rarely wait for each other. Needs: a CPU; N a multiple of 8.
#include <stdint.h>

enum { BINS = 4, TABLES = 8 };

void histogram(const int32_t *restrict label, int32_t *restrict count, int64_t n) {
  int32_t tables[TABLES][BINS] = {};
  for (int64_t i = 0; i < n; i += TABLES)
    for (int t = 0; t < TABLES; t++)
      tables[t][label[i + t]]++;
  for (int b = 0; b < BINS; b++) {
    count[b] = 0;
    for (int t = 0; t < TABLES; t++)
      count[b] += tables[t][b];
  }
}
