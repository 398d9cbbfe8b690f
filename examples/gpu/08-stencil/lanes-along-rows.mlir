// Jacobi step, one element a thread, with the lanes of a warp along a row. Needs: an NVIDIA GPU.
func.func @stencil(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c32 = arith.constant 32 : index
  %four = arith.constant 4.0 : f32
  %rate = arith.constant 0.2 : f32
  %m = memref.dim %x, %c0 : memref<?x?xf32>
  %n = memref.dim %x, %c1 : memref<?x?xf32>
  %last_row = arith.subi %m, %c1 : index
  %last_column = arith.subi %n, %c1 : index
  %wide = arith.ceildivui %n, %c32 : index
  %high = arith.ceildivui %m, %c8 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %wide, %gy = %high, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %c32, %sy = %c8, %sz = %c1) {
    %x0 = arith.muli %bx, %sx : index
    %y0 = arith.muli %by, %sy : index
    %j = arith.addi %x0, %tx : index
    %i = arith.addi %y0, %ty : index
    %in_rows = arith.cmpi ult, %i, %m : index
    %in_columns = arith.cmpi ult, %j, %n : index
    %inside = arith.andi %in_rows, %in_columns : i1
    scf.if %inside {
      %v = memref.load %x[%i, %j] : memref<?x?xf32>
      %below_top = arith.cmpi ugt, %i, %c0 : index
      %above_end = arith.cmpi ult, %i, %last_row : index
      %right_of_first = arith.cmpi ugt, %j, %c0 : index
      %left_of_last = arith.cmpi ult, %j, %last_column : index
      %off_rows = arith.andi %below_top, %above_end : i1
      %off_columns = arith.andi %right_of_first, %left_of_last : i1
      %off_border = arith.andi %off_rows, %off_columns : i1
      %new = scf.if %off_border -> (f32) {
        %i_up = arith.subi %i, %c1 : index
        %i_down = arith.addi %i, %c1 : index
        %j_left = arith.subi %j, %c1 : index
        %j_right = arith.addi %j, %c1 : index
        %up = memref.load %x[%i_up, %j] : memref<?x?xf32>
        %down = memref.load %x[%i_down, %j] : memref<?x?xf32>
        %left = memref.load %x[%i, %j_left] : memref<?x?xf32>
        %right = memref.load %x[%i, %j_right] : memref<?x?xf32>
        %s0 = arith.addf %up, %down : f32
        %s1 = arith.addf %s0, %left : f32
        %around = arith.addf %s1, %right : f32
        %here = arith.mulf %v, %four : f32
        %difference = arith.subf %around, %here : f32
        %change = arith.mulf %rate, %difference : f32
        %moved = arith.addf %v, %change : f32
        scf.yield %moved : f32
      } else {
        scf.yield %v : f32
      }
      memref.store %new, %y[%i, %j] : memref<?x?xf32>
    }
    gpu.terminator
  }
  return
}
