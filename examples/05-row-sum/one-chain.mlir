// Sums of rows with one vector accumulator, so that every add waits for the one before. Needs: a CPU; N a multiple of 8.
// planted: dependency-bound
func.func @row_sum(%x: memref<?x?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %pad = arith.constant 0.0 : f32
  %zeros = arith.constant dense<0.0> : vector<8xf32>
  %rows = memref.dim %x, %c0 : memref<?x?xf32>
  %columns = memref.dim %x, %c1 : memref<?x?xf32>
  %rest = arith.remui %columns, %c8 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "the row length must be a multiple of 8"

  scf.for %i = %c0 to %rows step %c1 {
    %lanes = scf.for %j = %c0 to %columns step %c8 iter_args(%s = %zeros) -> (vector<8xf32>) {
      %v = vector.transfer_read %x[%i, %j], %pad {in_bounds = [true]} : memref<?x?xf32>, vector<8xf32>
      %next = arith.addf %s, %v : vector<8xf32>
      scf.yield %next : vector<8xf32>
    }
    %sum = vector.reduction <add>, %lanes : vector<8xf32> into f32
    memref.store %sum, %y[%i] : memref<?xf32>
  }
  return
}
