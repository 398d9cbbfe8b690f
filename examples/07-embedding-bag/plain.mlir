// Embedding bag, each row fetched when it is needed: the misses of the cache are waited for. Needs: a CPU.
// planted: cache-latency-bound
func.func @embedding_bag(%table: memref<?x16xf32>, %index: memref<?x16xi32>, %y: memref<?x16xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %pad = arith.constant 0.0 : f32
  %zeros = arith.constant dense<0.0> : vector<16xf32>
  %bags = memref.dim %index, %c0 : memref<?x16xi32>

  scf.for %b = %c0 to %bags step %c1 {
    %sum = scf.for %l = %c0 to %c16 step %c1 iter_args(%s = %zeros) -> (vector<16xf32>) {
      %i = memref.load %index[%b, %l] : memref<?x16xi32>
      %row = arith.index_cast %i : i32 to index
      %v = vector.transfer_read %table[%row, %c0], %pad {in_bounds = [true]} : memref<?x16xf32>, vector<16xf32>
      %longer = arith.addf %s, %v : vector<16xf32>
      scf.yield %longer : vector<16xf32>
    }
    vector.transfer_write %sum, %y[%b, %c0] {in_bounds = [true]} : vector<16xf32>, memref<?x16xf32>
  }
  return
}
