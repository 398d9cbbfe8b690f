// 5-point stencil, columns in the outer loop: neighbouring steps are a whole row apart. Needs: a CPU.
// planted: poor-locality
func.func @stencil(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %rate = arith.constant 0.2 : f32
  %four = arith.constant 4.0 : f32
  %rows = memref.dim %x, %zero : memref<?x?xf32>
  %columns = memref.dim %x, %one : memref<?x?xf32>
  %bottom = arith.subi %rows, %one : index
  %right = arith.subi %columns, %one : index

  scf.for %j = %one to %right step %one {
    scf.for %i = %one to %bottom step %one {
      %above = arith.subi %i, %one : index
      %below = arith.addi %i, %one : index
      %before = arith.subi %j, %one : index
      %after = arith.addi %j, %one : index
      %c = memref.load %x[%i, %j] : memref<?x?xf32>
      %n = memref.load %x[%above, %j] : memref<?x?xf32>
      %s = memref.load %x[%below, %j] : memref<?x?xf32>
      %w = memref.load %x[%i, %before] : memref<?x?xf32>
      %e = memref.load %x[%i, %after] : memref<?x?xf32>
      %ns = arith.addf %n, %s : f32
      %nsw = arith.addf %ns, %w : f32
      %around = arith.addf %nsw, %e : f32
      %four_c = arith.mulf %four, %c : f32
      %difference = arith.subf %around, %four_c : f32
      %change = arith.mulf %rate, %difference : f32
      %next = arith.addf %c, %change : f32
      memref.store %next, %y[%i, %j] : memref<?x?xf32>
    }
  }

  // The border.
  scf.for %j = %zero to %columns step %one {
    %first = memref.load %x[%zero, %j] : memref<?x?xf32>
    memref.store %first, %y[%zero, %j] : memref<?x?xf32>
    %last = memref.load %x[%bottom, %j] : memref<?x?xf32>
    memref.store %last, %y[%bottom, %j] : memref<?x?xf32>
  }
  scf.for %i = %zero to %rows step %one {
    %first = memref.load %x[%i, %zero] : memref<?x?xf32>
    memref.store %first, %y[%i, %zero] : memref<?x?xf32>
    %last = memref.load %x[%i, %right] : memref<?x?xf32>
    memref.store %last, %y[%i, %right] : memref<?x?xf32>
  }
  return
}
