// Random walks, a walk a warp at a time: each step waits for the one before, and nothing else is there to do. Needs: an NVIDIA GPU.
// planted: latency-bound
func.func @random_walk(%next: memref<?xi32>, %row: memref<?x32xi32>, %start: memref<?xi32>, %y: memref<?x32xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %steps = arith.constant 32 : index
  %lanes = arith.constant 32 : index
  %warps = arith.constant 8 : index
  // Five blocks, and so forty warps, for each of 132 SMs.
  %blocks = arith.constant 660 : index
  %zero = arith.constant 0 : i32
  %walks = memref.dim %start, %c0 : memref<?xi32>
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %lanes, %sy = %warps, %sz = %c1) {
    %before = arith.muli %bx, %sy : index
    %first = arith.addi %before, %ty : index
    %all = arith.muli %gx, %sy : index
    scf.for %w = %first to %walks step %all {
      %origin = memref.load %start[%w] : memref<?xi32>
      %end, %total = scf.for %step = %c0 to %steps step %c1 iter_args(%at = %origin, %s = %zero) -> (i32, i32) {
        %node = arith.index_cast %at : i32 to index
        %v = memref.load %row[%node, %tx] : memref<?x32xi32>
        %sum = arith.addi %s, %v : i32
        %to = memref.load %next[%node] : memref<?xi32>
        scf.yield %to, %sum : i32, i32
      }
      memref.store %total, %y[%w, %tx] : memref<?x32xi32>
    }
    gpu.terminator
  }
  return
}
