// Launches a grid of no blocks. Needs: an NVIDIA GPU.
func.func @vector_add(%a: memref<?xf32>, %b: memref<?xf32>, %c: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %threads = arith.constant 256 : index
  %n = memref.dim %a, %c0 : memref<?xf32>
  %blocks = arith.constant 0 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %start = arith.muli %bx, %sx : index
    %i = arith.addi %start, %tx : index
    %inside = arith.cmpi ult, %i, %n : index
    scf.if %inside {
      %ai = memref.load %a[%i] : memref<?xf32>
      %bi = memref.load %b[%i] : memref<?xf32>
      %sum = arith.addf %ai, %bi : f32
      memref.store %sum, %c[%i] : memref<?xf32>
    }
    gpu.terminator
  }
  return
}
