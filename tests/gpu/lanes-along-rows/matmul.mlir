// The product of examples/gpu/02-matmul/naive.mlir, of which nothing is changed but that neighbouring lanes are in neighbouring columns. Needs: an NVIDIA GPU.
func.func @matmul(%a: memref<?x?xf16>, %b: memref<?x?xf16>, %c: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c32 = arith.constant 32 : index
  %zero = arith.constant 0.0 : f32
  %m = memref.dim %a, %c0 : memref<?x?xf16>
  %k = memref.dim %a, %c1 : memref<?x?xf16>
  %n = memref.dim %b, %c1 : memref<?x?xf16>
  %down = arith.ceildivui %m, %c8 : index
  %across = arith.ceildivui %n, %c32 : index
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
      %sum = scf.for %l = %c0 to %k step %c1 iter_args(%s = %zero) -> (f32) {
        %half_a = memref.load %a[%i, %l] : memref<?x?xf16>
        %half_b = memref.load %b[%l, %j] : memref<?x?xf16>
        %x = arith.extf %half_a : f16 to f32
        %y = arith.extf %half_b : f16 to f32
        %next = math.fma %x, %y, %s : f32
        scf.yield %next : f32
      }
      memref.store %sum, %c[%i, %j] : memref<?x?xf32>
    }
    gpu.terminator
  }
  return
}
