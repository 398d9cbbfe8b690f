// Square matmul in 8 x 32 tiles held in vector registers while k runs. Needs: a CPU; N a multiple of 32.
func.func @matmul(%a: memref<?x?xf32>, %b: memref<?x?xf32>, %c: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c32 = arith.constant 32 : index
  %pad = arith.constant 0.0 : f32
  %zeros = arith.constant dense<0.0> : vector<8x32xf32>
  %n = memref.dim %a, %c0 : memref<?x?xf32>
  %rest = arith.remui %n, %c32 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "N must be a multiple of 32"

  // The panel of b that a column of tiles reads stays in the L1 and L2 caches, so j is the outer loop.
  scf.for %j = %c0 to %n step %c32 {
    scf.for %i = %c0 to %n step %c8 {
      %tile = scf.for %k = %c0 to %n step %c1 iter_args(%sum = %zeros) -> (vector<8x32xf32>) {
        %column = vector.transfer_read %a[%i, %k], %pad {in_bounds = [true], permutation_map = affine_map<(d0, d1) -> (d0)>} : memref<?x?xf32>, vector<8xf32>
        %row = vector.transfer_read %b[%k, %j], %pad {in_bounds = [true]} : memref<?x?xf32>, vector<32xf32>
        %next = vector.outerproduct %column, %row, %sum {kind = #vector.kind<add>} : vector<8xf32>, vector<32xf32>
        scf.yield %next : vector<8x32xf32>
      }
      vector.transfer_write %tile, %c[%i, %j] {in_bounds = [true, true]} : vector<8x32xf32>, memref<?x?xf32>
    }
  }
  return
}
