// Random walks, eight a thread, one after another: a walk waits for memory at each step, and so does its thread. Needs: an NVIDIA GPU.
// planted: latency-bound
func.func @random_walk(%next: memref<?xi32>, %weight: memref<?xi32>, %start: memref<?xi32>, %y: memref<?xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %steps = arith.constant 64 : index
  %threads = arith.constant 32 : index
  // One block of one warp for each of 132 SMs.
  %blocks = arith.constant 132 : index
  %zero = arith.constant 0 : i32
  %walks = memref.dim %start, %c0 : memref<?xi32>
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    %first = arith.addi %before, %tx : index
    %all = arith.muli %gx, %sx : index
    scf.for %w = %first to %walks step %all {
      %origin = memref.load %start[%w] : memref<?xi32>
      %end, %total = scf.for %step = %c0 to %steps step %c1 iter_args(%at = %origin, %s = %zero) -> (i32, i32) {
        %node = arith.index_cast %at : i32 to index
        %gain = memref.load %weight[%node] : memref<?xi32>
        %sum = arith.addi %s, %gain : i32
        %to = memref.load %next[%node] : memref<?xi32>
        scf.yield %to, %sum : i32, i32
      }
      memref.store %total, %y[%w] : memref<?xi32>
    }
    gpu.terminator
  }
  return
}
