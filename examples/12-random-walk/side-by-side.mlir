// Random walks, sixteen walkers side by side: their loads wait together. Needs: a CPU; W a multiple of 16.
func.func @random_walk(%next: memref<?xi32>, %weight: memref<?xf32>, %start: memref<?xi32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %steps = arith.constant 1024 : index
  %nowhere = arith.constant 0 : i32
  %pad = arith.constant 0.0 : f32
  %all = arith.constant dense<true> : vector<16xi1>
  %zeros = arith.constant dense<0.0> : vector<16xf32>
  %nodes = arith.constant dense<0> : vector<16xi32>
  %walkers = memref.dim %start, %c0 : memref<?xi32>
  %rest = arith.remui %walkers, %c16 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "W must be a multiple of 16"

  scf.for %w = %c0 to %walkers step %c16 {
    %from = vector.transfer_read %start[%w], %nowhere {in_bounds = [true]} : memref<?xi32>, vector<16xi32>
    %total, %end = scf.for %s = %c0 to %steps step %c1 iter_args(%sum = %zeros, %at = %from) -> (vector<16xf32>, vector<16xi32>) {
      %v = vector.gather %weight[%c0] [%at], %all, %zeros : memref<?xf32>, vector<16xi32>, vector<16xi1>, vector<16xf32> into vector<16xf32>
      %more = arith.addf %sum, %v : vector<16xf32>
      %to = vector.gather %next[%c0] [%at], %all, %nodes : memref<?xi32>, vector<16xi32>, vector<16xi1>, vector<16xi32> into vector<16xi32>
      scf.yield %more, %to : vector<16xf32>, vector<16xi32>
    }
    vector.transfer_write %total, %y[%w] {in_bounds = [true]} : vector<16xf32>, memref<?xf32>
  }
  return
}
