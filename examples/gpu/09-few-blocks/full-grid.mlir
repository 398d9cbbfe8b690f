// Recurrence in as many blocks as the elements fill. Needs: an NVIDIA GPU.
func.func @recurrence(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %steps = arith.constant 512 : index
  %threads = arith.constant 256 : index
  %kept = arith.constant 0.99 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  %blocks = arith.ceildivui %n, %threads : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    %first = arith.addi %before, %tx : index
    %all = arith.muli %gx, %sx : index
    scf.for %i = %first to %n step %all {
      %v = memref.load %x[%i] : memref<?xf32>
      %end = scf.for %step = %c0 to %steps step %c1 iter_args(%s = %v) -> (f32) {
        %shrunk = arith.mulf %s, %kept : f32
        %next = arith.addf %shrunk, %v : f32
        scf.yield %next : f32
      }
      memref.store %end, %y[%i] : memref<?xf32>
    }
    gpu.terminator
  }
  return
}
