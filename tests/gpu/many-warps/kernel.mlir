// Two loops whose lengths the compiler does not know, in 65,536 warps. Needs: an NVIDIA GPU.
func.func @many_warps(%x: memref<?xf32>, %w: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %threads = arith.constant 256 : index
  %kept = arith.constant 0.99 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  %steps = memref.dim %w, %c0 : memref<?xf32>
  %blocks = arith.ceildivui %n, %threads : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    %i = arith.addi %before, %tx : index
    %inside = arith.cmpi ult, %i, %n : index
    scf.if %inside {
      %v = memref.load %x[%i] : memref<?xf32>
      %part = scf.for %step = %c0 to %steps step %c1 iter_args(%s = %v) -> (f32) {
        %shrunk = arith.mulf %s, %kept : f32
        %weight = memref.load %w[%step] : memref<?xf32>
        %next = arith.addf %shrunk, %weight : f32
        scf.yield %next : f32
      }
      %end = scf.for %step = %c0 to %steps step %c1 iter_args(%s = %part) -> (f32) {
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
