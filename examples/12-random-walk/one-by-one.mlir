// Random walks, one walker after the other: each step waits for the load before. Needs: a CPU.
// planted: cache-latency-bound
func.func @random_walk(%next: memref<?xi32>, %weight: memref<?xf32>, %start: memref<?xi32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %steps = arith.constant 1024 : index
  %zero = arith.constant 0.0 : f32
  %walkers = memref.dim %start, %c0 : memref<?xi32>

  scf.for %w = %c0 to %walkers step %c1 {
    %from = memref.load %start[%w] : memref<?xi32>
    %total, %end = scf.for %s = %c0 to %steps step %c1 iter_args(%sum = %zero, %at = %from) -> (f32, i32) {
      %node = arith.index_cast %at : i32 to index
      %v = memref.load %weight[%node] : memref<?xf32>
      %more = arith.addf %sum, %v : f32
      %to = memref.load %next[%node] : memref<?xi32>
      scf.yield %more, %to : f32, i32
    }
    memref.store %total, %y[%w] : memref<?xf32>
  }
  return
}
