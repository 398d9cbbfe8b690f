// Energies of pairs on two threads that take rows in turns, and so half of the work each. Needs: a CPU with two cores, OpenMP.
// kinstr: flags=-fopenmp
// kinstr: threads=2
#include <stdint.h>

void pair_energy(const float *restrict x, float *restrict y, int64_t n) {
#pragma omp parallel for num_threads(2) schedule(static, 1)
  for (int64_t i = 0; i < n; i++) {
#pragma clang fp reassociate(on)
    float sum = 0;
    for (int64_t j = 0; j < i; j++) {
      float distance = x[i] - x[j];
      sum += 1 / (1 + distance * distance);
    }
    y[i] = sum;
  }
}
