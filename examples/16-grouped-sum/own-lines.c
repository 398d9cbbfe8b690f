// Sums by group on two threads, each with cache lines of its own for its partial sums. Needs: a CPU with two cores, OpenMP.
// kinstr: flags=-fopenmp
// kinstr: threads=2
#include <stdint.h>

// 64 floats are four lines, so that no two threads meet in the line that a neighbouring line's fetch brings along either.
enum { GROUPS = 4, THREADS = 2, APART = 64 };

void grouped_sum(const float *restrict x, const int32_t *restrict group, float *restrict y, int64_t n) {
  _Alignas(256) float partial[THREADS][APART] = {};
#pragma omp parallel for num_threads(THREADS) schedule(static, 1)
  for (int t = 0; t < THREADS; t++)
    for (int64_t i = n * t / THREADS; i < n * (t + 1) / THREADS; i++)
      partial[t][group[i]] += x[i];
  for (int g = 0; g < GROUPS; g++) {
    y[g] = 0;
    for (int t = 0; t < THREADS; t++)
      y[g] += partial[t][g];
  }
}
