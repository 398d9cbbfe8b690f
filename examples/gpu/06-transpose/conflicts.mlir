// Transpose through a 32x32 tile of shared memory: a column of the tile is all in one bank. Needs: an NVIDIA GPU.
// planted: bank-conflict
#shared = #gpu.address_space<workgroup>
func.func @transpose(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c32 = arith.constant 32 : index
  %m = memref.dim %x, %c0 : memref<?x?xf32>
  %n = memref.dim %x, %c1 : memref<?x?xf32>
  %across = arith.ceildivui %n, %c32 : index
  %down = arith.ceildivui %m, %c32 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %across, %gy = %down, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %c32, %sy = %c8, %sz = %c1)
             workgroup(%tile : memref<32x32xf32, #shared>) {
    %left = arith.muli %bx, %c32 : index
    %top = arith.muli %by, %c32 : index
    %j = arith.addi %left, %tx : index
    scf.for %r = %ty to %c32 step %c8 {
      %i = arith.addi %top, %r : index
      %in_rows = arith.cmpi ult, %i, %m : index
      %in_columns = arith.cmpi ult, %j, %n : index
      %inside = arith.andi %in_rows, %in_columns : i1
      scf.if %inside {
        %v = memref.load %x[%i, %j] : memref<?x?xf32>
        memref.store %v, %tile[%r, %tx] : memref<32x32xf32, #shared>
      }
    }
    gpu.barrier
    %k = arith.addi %top, %tx : index
    scf.for %r = %ty to %c32 step %c8 {
      %l = arith.addi %left, %r : index
      %in_rows = arith.cmpi ult, %l, %n : index
      %in_columns = arith.cmpi ult, %k, %m : index
      %inside = arith.andi %in_rows, %in_columns : i1
      scf.if %inside {
        %v = memref.load %tile[%tx, %r] : memref<32x32xf32, #shared>
        memref.store %v, %y[%l, %k] : memref<?x?xf32>
      }
    }
    gpu.terminator
  }
  return
}
