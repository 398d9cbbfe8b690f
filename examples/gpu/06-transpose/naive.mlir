// Transpose, one element a thread: lanes read along a row, and so write down a column. Needs: an NVIDIA GPU.
// planted: uncoalesced-access
func.func @transpose(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c32 = arith.constant 32 : index
  %m = memref.dim %x, %c0 : memref<?x?xf32>
  %n = memref.dim %x, %c1 : memref<?x?xf32>
  %across = arith.ceildivui %n, %c32 : index
  %down = arith.ceildivui %m, %c8 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %across, %gy = %down, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %c32, %sy = %c8, %sz = %c1) {
    %left = arith.muli %bx, %sx : index
    %top = arith.muli %by, %sy : index
    %i = arith.addi %top, %ty : index
    %j = arith.addi %left, %tx : index
    %in_rows = arith.cmpi ult, %i, %m : index
    %in_columns = arith.cmpi ult, %j, %n : index
    %inside = arith.andi %in_rows, %in_columns : i1
    scf.if %inside {
      %v = memref.load %x[%i, %j] : memref<?x?xf32>
      memref.store %v, %y[%j, %i] : memref<?x?xf32>
    }
    gpu.terminator
  }
  return
}
