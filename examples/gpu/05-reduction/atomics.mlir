// Sum of a vector, an atomic add an element, all of them to one address. Needs: an NVIDIA GPU.
// planted: atomic-contention
func.func @reduction(%x: memref<?xi32>, %sum: memref<1xi64>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %threads = arith.constant 256 : index
  %zero = arith.constant 0 : i64
  %n = memref.dim %x, %c0 : memref<?xi32>
  %blocks = arith.ceildivui %n, %threads : index
  %start = gpu.wait async
  %cleared = gpu.launch async [%start] blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %c1, %sy = %c1, %sz = %c1) {
    memref.store %zero, %sum[%c0] : memref<1xi64>
    gpu.terminator
  }
  %done = gpu.launch async [%cleared] blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    %i = arith.addi %before, %tx : index
    %inside = arith.cmpi ult, %i, %n : index
    scf.if %inside {
      %narrow = memref.load %x[%i] : memref<?xi32>
      %v = arith.extsi %narrow : i32 to i64
      %old = memref.atomic_rmw addi %v, %sum[%c0] : (i64, memref<1xi64>) -> i64
    }
    gpu.terminator
  }
  gpu.wait [%done]
  return
}
