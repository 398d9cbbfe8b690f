// Histogram with one table in global memory, in which all threads of the device meet. Needs: an NVIDIA GPU.
// planted: atomic-contention
func.func @histogram(%label: memref<?xi32>, %count: memref<64xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %threads = arith.constant 256 : index
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = memref.dim %label, %c0 : memref<?xi32>
  %blocks = arith.ceildivui %n, %threads : index
  %start = gpu.wait async
  %cleared = gpu.launch async [%start] blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %c64, %sy = %c1, %sz = %c1) {
    memref.store %zero, %count[%tx] : memref<64xi32>
    gpu.terminator
  }
  %done = gpu.launch async [%cleared] blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    %i = arith.addi %before, %tx : index
    %inside = arith.cmpi ult, %i, %n : index
    scf.if %inside {
      %class = memref.load %label[%i] : memref<?xi32>
      %bin = arith.index_cast %class : i32 to index
      %old = memref.atomic_rmw addi %one, %count[%bin] : (i32, memref<64xi32>) -> i32
    }
    gpu.terminator
  }
  gpu.wait [%done]
  return
}
