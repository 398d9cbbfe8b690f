// Random walks, four a warp at the same time: while one waits, so do the others. Needs: an NVIDIA GPU.
func.func @random_walk(%next: memref<?xi32>, %row: memref<?x32xi32>, %start: memref<?xi32>, %y: memref<?x32xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %steps = arith.constant 32 : index
  %lanes = arith.constant 32 : index
  %warps = arith.constant 8 : index
  // Five blocks, and so forty warps, for each of 132 SMs.
  %blocks = arith.constant 660 : index
  %zero = arith.constant 0 : i32
  %walks = memref.dim %start, %c0 : memref<?xi32>
  %last = arith.subi %walks, %c1 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %lanes, %sy = %warps, %sz = %c1) {
    %before = arith.muli %bx, %sy : index
    %warp = arith.addi %before, %ty : index
    %first = arith.muli %warp, %c4 : index
    %in_grid = arith.muli %gx, %sy : index
    %all = arith.muli %in_grid, %c4 : index
    scf.for %w0 = %first to %walks step %all {
      // Behind the end the last walk is done once more, to the same result.
      %past1 = arith.addi %w0, %c1 : index
      %w1 = arith.minui %past1, %last : index
      %past2 = arith.addi %past1, %c1 : index
      %w2 = arith.minui %past2, %last : index
      %past3 = arith.addi %past2, %c1 : index
      %w3 = arith.minui %past3, %last : index
      %origin0 = memref.load %start[%w0] : memref<?xi32>
      %origin1 = memref.load %start[%w1] : memref<?xi32>
      %origin2 = memref.load %start[%w2] : memref<?xi32>
      %origin3 = memref.load %start[%w3] : memref<?xi32>
      %end0, %end1, %end2, %end3, %total0, %total1, %total2, %total3 = scf.for %step = %c0 to %steps step %c1
          iter_args(%at0 = %origin0, %at1 = %origin1, %at2 = %origin2, %at3 = %origin3, %s0 = %zero, %s1 = %zero, %s2 = %zero, %s3 = %zero)
          -> (i32, i32, i32, i32, i32, i32, i32, i32) {
        %node0 = arith.index_cast %at0 : i32 to index
        %node1 = arith.index_cast %at1 : i32 to index
        %node2 = arith.index_cast %at2 : i32 to index
        %node3 = arith.index_cast %at3 : i32 to index
        %v0 = memref.load %row[%node0, %tx] : memref<?x32xi32>
        %v1 = memref.load %row[%node1, %tx] : memref<?x32xi32>
        %v2 = memref.load %row[%node2, %tx] : memref<?x32xi32>
        %v3 = memref.load %row[%node3, %tx] : memref<?x32xi32>
        %to0 = memref.load %next[%node0] : memref<?xi32>
        %to1 = memref.load %next[%node1] : memref<?xi32>
        %to2 = memref.load %next[%node2] : memref<?xi32>
        %to3 = memref.load %next[%node3] : memref<?xi32>
        %sum0 = arith.addi %s0, %v0 : i32
        %sum1 = arith.addi %s1, %v1 : i32
        %sum2 = arith.addi %s2, %v2 : i32
        %sum3 = arith.addi %s3, %v3 : i32
        scf.yield %to0, %to1, %to2, %to3, %sum0, %sum1, %sum2, %sum3 : i32, i32, i32, i32, i32, i32, i32, i32
      }
      memref.store %total0, %y[%w0, %tx] : memref<?x32xi32>
      memref.store %total1, %y[%w1, %tx] : memref<?x32xi32>
      memref.store %total2, %y[%w2, %tx] : memref<?x32xi32>
      memref.store %total3, %y[%w3, %tx] : memref<?x32xi32>
    }
    gpu.terminator
  }
  return
}
