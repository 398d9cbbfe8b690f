void copies(const float *restrict x, float *restrict y, long n) {
  for (long i = 0; i < n; i++) y[i] = x[i];
}
