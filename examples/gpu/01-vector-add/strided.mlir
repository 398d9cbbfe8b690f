// Vector add, a run of 32 elements a thread: neighbouring lanes are 128 bytes apart. Needs: an NVIDIA GPU.
// planted: uncoalesced-access
func.func @vector_add(%a: memref<?xf32>, %b: memref<?xf32>, %c: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %run = arith.constant 32 : index
  %threads = arith.constant 256 : index
  %per_block = arith.constant 8192 : index
  %n = memref.dim %a, %c0 : memref<?xf32>
  %blocks = arith.ceildivui %n, %per_block : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    %thread = arith.addi %before, %tx : index
    %first = arith.muli %thread, %run : index
    %past = arith.addi %first, %run : index
    %last = arith.minui %past, %n : index
    scf.for %i = %first to %last step %c1 {
      %ai = memref.load %a[%i] : memref<?xf32>
      %bi = memref.load %b[%i] : memref<?xf32>
      %sum = arith.addf %ai, %bi : f32
      memref.store %sum, %c[%i] : memref<?xf32>
    }
    gpu.terminator
  }
  return
}
