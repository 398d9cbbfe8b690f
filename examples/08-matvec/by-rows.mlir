// Matrix times vector by rows, each row read once from end to end. Needs: a CPU; N a multiple of 64.
func.func @matvec(%a: memref<?x?xf32>, %x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %pad = arith.constant 0.0 : f32
  %zeros = arith.constant dense<0.0> : vector<64xf32>
  %rows = memref.dim %a, %c0 : memref<?x?xf32>
  %columns = memref.dim %a, %c1 : memref<?x?xf32>
  %rest = arith.remui %columns, %c64 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "N must be a multiple of 64"

  scf.for %i = %c0 to %rows step %c1 {
    // 64 lanes are four registers, and so four chains of adds.
    %lanes = scf.for %j = %c0 to %columns step %c64 iter_args(%s = %zeros) -> (vector<64xf32>) {
      %aij = vector.transfer_read %a[%i, %j], %pad {in_bounds = [true]} : memref<?x?xf32>, vector<64xf32>
      %xj = vector.transfer_read %x[%j], %pad {in_bounds = [true]} : memref<?xf32>, vector<64xf32>
      %next = math.fma %aij, %xj, %s : vector<64xf32>
      scf.yield %next : vector<64xf32>
    }
    %dot = vector.reduction <add>, %lanes fastmath<reassoc> : vector<64xf32> into f32
    memref.store %dot, %y[%i] : memref<?xf32>
  }
  return
}
