// Two recurrences: even lanes of each warp take one, odd lanes the other, and wait for each other. Needs: an NVIDIA GPU.
// planted: divergence
func.func @two_branches(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %steps = arith.constant 256 : index
  %threads = arith.constant 256 : index
  %kept = arith.constant 0.99 : f32
  %turned = arith.constant -0.98 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  %blocks = arith.ceildivui %n, %threads : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    %i = arith.addi %before, %tx : index
    %inside = arith.cmpi ult, %i, %n : index
    scf.if %inside {
      %v = memref.load %x[%i] : memref<?xf32>
      %half = arith.remui %i, %c2 : index
      %is_even = arith.cmpi eq, %half, %c0 : index
      %end = scf.if %is_even -> (f32) {
        %even = scf.for %step = %c0 to %steps step %c1 iter_args(%s = %v) -> (f32) {
          %shrunk = arith.mulf %s, %kept : f32
          %next = arith.addf %shrunk, %v : f32
          scf.yield %next : f32
        }
        scf.yield %even : f32
      } else {
        %odd = scf.for %step = %c0 to %steps step %c1 iter_args(%s = %v) -> (f32) {
          %more = arith.addf %s, %v : f32
          %next = arith.mulf %more, %turned : f32
          scf.yield %next : f32
        }
        scf.yield %odd : f32
      }
      memref.store %end, %y[%i] : memref<?xf32>
    }
    gpu.terminator
  }
  return
}
