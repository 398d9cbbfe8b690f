// Recurrence, a launch a step, and the host waits for each before it launches the next. Needs: an NVIDIA GPU.
// planted: host-sync-bound
func.func @steps(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %steps = arith.constant 1000 : index
  %threads = arith.constant 256 : index
  %kept = arith.constant 0.99 : f32
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  %blocks = arith.ceildivui %n, %threads : index
  scf.for %step = %c0 to %steps step %c1 {
    %is_first = arith.cmpi eq, %step, %c0 : index
    gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
               threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
      %before = arith.muli %bx, %sx : index
      %i = arith.addi %before, %tx : index
      %inside = arith.cmpi ult, %i, %n : index
      scf.if %inside {
        %v = memref.load %x[%i] : memref<?xf32>
        %old = memref.load %y[%i] : memref<?xf32>
        %last = arith.select %is_first, %zero, %old : f32
        %shrunk = arith.mulf %last, %kept : f32
        %next = arith.addf %shrunk, %v : f32
        memref.store %next, %y[%i] : memref<?xf32>
      }
      gpu.terminator
    }
  }
  return
}
