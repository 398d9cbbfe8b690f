// Recurrence in blocks of 64 threads, two elements each: all of them run at once, and almost evenly. Needs: an NVIDIA GPU.
func.func @recurrence(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %steps = arith.constant 2048 : index
  %threads = arith.constant 64 : index
  %kept = arith.constant 0.99 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  %elements = arith.constant 128 : index
  %blocks = arith.ceildivui %n, %elements : index
  %last = arith.subi %n, %c1 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %elements : index
    %i = arith.addi %before, %tx : index
    %inside = arith.cmpi ult, %i, %n : index
    scf.if %inside {
      // Behind the end the last element is done once more, to the same result.
      %past = arith.addi %i, %sx : index
      %j = arith.minui %past, %last : index
      %v = memref.load %x[%i] : memref<?xf32>
      %w = memref.load %x[%j] : memref<?xf32>
      %end_v, %end_w = scf.for %step = %c0 to %steps step %c1 iter_args(%s = %v, %t = %w) -> (f32, f32) {
        %shrunk_v = arith.mulf %s, %kept : f32
        %shrunk_w = arith.mulf %t, %kept : f32
        %next_v = arith.addf %shrunk_v, %v : f32
        %next_w = arith.addf %shrunk_w, %w : f32
        scf.yield %next_v, %next_w : f32, f32
      }
      memref.store %end_v, %y[%i] : memref<?xf32>
      memref.store %end_w, %y[%j] : memref<?xf32>
    }
    gpu.terminator
  }
  return
}
