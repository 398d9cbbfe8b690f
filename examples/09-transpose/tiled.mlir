// Transposition in 16 x 16 tiles held in vector registers: both sides move whole cache lines. Needs: a CPU; M and N multiples of 16.
func.func @transpose(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %pad = arith.constant 0.0 : f32
  %rows = memref.dim %x, %c0 : memref<?x?xf32>
  %columns = memref.dim %x, %c1 : memref<?x?xf32>
  %either = arith.ori %rows, %columns : index
  %rest = arith.remui %either, %c16 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "M and N must be multiples of 16"

  scf.for %i = %c0 to %rows step %c16 {
    scf.for %j = %c0 to %columns step %c16 {
      %tile = vector.transfer_read %x[%i, %j], %pad {in_bounds = [true, true]} : memref<?x?xf32>, vector<16x16xf32>
      %turned = vector.transpose %tile, [1, 0] : vector<16x16xf32> to vector<16x16xf32>
      vector.transfer_write %turned, %y[%j, %i] {in_bounds = [true, true]} : vector<16x16xf32>, memref<?x?xf32>
    }
  }
  return
}
