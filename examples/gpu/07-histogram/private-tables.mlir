// Histogram with a table a warp in shared memory; each block adds its tables to the global one once. Needs: an NVIDIA GPU.
#shared = #gpu.address_space<workgroup>
func.func @histogram(%label: memref<?xi32>, %count: memref<64xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c32 = arith.constant 32 : index
  %c64 = arith.constant 64 : index
  %c512 = arith.constant 512 : index
  %threads = arith.constant 256 : index
  // Eight blocks for each of 132 SMs.
  %blocks = arith.constant 1056 : index
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = memref.dim %label, %c0 : memref<?xi32>
  %start = gpu.wait async
  %cleared = gpu.launch async [%start] blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %c64, %sy = %c1, %sz = %c1) {
    memref.store %zero, %count[%tx] : memref<64xi32>
    gpu.terminator
  }
  %done = gpu.launch async [%cleared] blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1)
             workgroup(%tables : memref<8x64xi32, #shared>) {
    scf.for %e = %tx to %c512 step %threads {
      %w = arith.divui %e, %c64 : index
      %bin = arith.remui %e, %c64 : index
      memref.store %zero, %tables[%w, %bin] : memref<8x64xi32, #shared>
    }
    gpu.barrier
    %warp = arith.divui %tx, %c32 : index
    %before = arith.muli %bx, %threads : index
    %first = arith.addi %before, %tx : index
    %all = arith.muli %gx, %threads : index
    scf.for %i = %first to %n step %all {
      %class = memref.load %label[%i] : memref<?xi32>
      %bin = arith.index_cast %class : i32 to index
      %old = memref.atomic_rmw addi %one, %tables[%warp, %bin] : (i32, memref<8x64xi32, #shared>) -> i32
    }
    gpu.barrier
    %has_bin = arith.cmpi ult, %tx, %c64 : index
    scf.if %has_bin {
      %sum = scf.for %w = %c0 to %c8 step %c1 iter_args(%s = %zero) -> (i32) {
        %v = memref.load %tables[%w, %tx] : memref<8x64xi32, #shared>
        %next = arith.addi %s, %v : i32
        scf.yield %next : i32
      }
      %old = memref.atomic_rmw addi %sum, %count[%tx] : (i32, memref<64xi32>) -> i32
    }
    gpu.terminator
  }
  gpu.wait [%done]
  return
}
