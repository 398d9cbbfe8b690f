// Prefix sum in blocks of sixteen: within a block four shifted adds, from block to block one. Needs: a CPU; N a multiple of 16.
func.func @prefix_sum(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %zeros = arith.constant dense<0.0> : vector<16xf32>
  %n = memref.dim %x, %c0 : memref<?xf32>
  %rest = arith.remui %n, %c16 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "N must be a multiple of 16"

  scf.for %i = %c0 to %n step %c16 iter_args(%sum = %zero) -> (f32) {
    %v0 = vector.transfer_read %x[%i], %zero {in_bounds = [true]} : memref<?xf32>, vector<16xf32>
    // Moves the lanes up, as many as there are 16s: lane 16 of the pair is the first zero.
    %s1 = vector.shuffle %v0, %zeros [16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] : vector<16xf32>, vector<16xf32>
    %v1 = arith.addf %v0, %s1 : vector<16xf32>
    %s2 = vector.shuffle %v1, %zeros [16, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13] : vector<16xf32>, vector<16xf32>
    %v2 = arith.addf %v1, %s2 : vector<16xf32>
    %s4 = vector.shuffle %v2, %zeros [16, 16, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] : vector<16xf32>, vector<16xf32>
    %v4 = arith.addf %v2, %s4 : vector<16xf32>
    %s8 = vector.shuffle %v4, %zeros [16, 16, 16, 16, 16, 16, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7] : vector<16xf32>, vector<16xf32>
    %v8 = arith.addf %v4, %s8 : vector<16xf32>
    %before = vector.broadcast %sum : f32 to vector<16xf32>
    %prefix = arith.addf %v8, %before : vector<16xf32>
    vector.transfer_write %prefix, %y[%i] {in_bounds = [true]} : vector<16xf32>, memref<?xf32>
    %block = vector.extract %v8[15] : f32 from vector<16xf32>
    %next = arith.addf %sum, %block : f32
    scf.yield %next : f32
  }
  return
}
