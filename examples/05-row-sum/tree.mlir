// Sums of rows with eight vector accumulators, added up as a tree. Needs: a CPU; N a multiple of 128.
func.func @row_sum(%x: memref<?x?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c128 = arith.constant 128 : index
  %pad = arith.constant 0.0 : f32
  %zeros = arith.constant dense<0.0> : vector<128xf32>
  %rows = memref.dim %x, %c0 : memref<?x?xf32>
  %columns = memref.dim %x, %c1 : memref<?x?xf32>
  %rest = arith.remui %columns, %c128 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "the row length must be a multiple of 128"

  scf.for %i = %c0 to %rows step %c1 {
    // 128 lanes are eight registers, and so eight chains of adds.
    %lanes = scf.for %j = %c0 to %columns step %c128 iter_args(%s = %zeros) -> (vector<128xf32>) {
      %v = vector.transfer_read %x[%i, %j], %pad {in_bounds = [true]} : memref<?x?xf32>, vector<128xf32>
      %next = arith.addf %s, %v : vector<128xf32>
      scf.yield %next : vector<128xf32>
    }
    %sum = vector.reduction <add>, %lanes fastmath<reassoc> : vector<128xf32> into f32
    memref.store %sum, %y[%i] : memref<?xf32>
  }
  return
}
