// Two recurrences: the lower half of the warps of a block takes one, the upper half the other. Needs: an NVIDIA GPU.
func.func @two_branches(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %steps = arith.constant 256 : index
  %threads = arith.constant 256 : index
  %half_block = arith.constant 128 : index
  %kept = arith.constant 0.99 : f32
  %turned = arith.constant -0.98 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  %blocks = arith.ceildivui %n, %threads : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    // Threads 0 to 127 take the even elements of the block, 128 to 255 the odd ones.
    %upper = arith.divui %tx, %half_block : index
    %place = arith.remui %tx, %half_block : index
    %even_place = arith.muli %place, %c2 : index
    %in_block = arith.addi %even_place, %upper : index
    %i = arith.addi %before, %in_block : index
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
