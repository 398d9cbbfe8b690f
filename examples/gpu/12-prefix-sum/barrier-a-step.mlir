// Prefix sums in ten doubling steps through shared memory, with two barriers of 32 warps in each. Needs: an NVIDIA GPU; N at most 1024.
// planted: barrier-stall
#shared = #gpu.address_space<workgroup>
func.func @prefix_sum(%x: memref<?x?xi32>, %y: memref<?x?xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c10 = arith.constant 10 : index
  %threads = arith.constant 1024 : index
  %zero = arith.constant 0 : i32
  %m = memref.dim %x, %c0 : memref<?x?xi32>
  %n = memref.dim %x, %c1 : memref<?x?xi32>
  %fits = arith.cmpi ule, %n, %threads : index
  cf.assert %fits, "a row must have at most 1024 elements"
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %m, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1)
             workgroup(%row : memref<1024xi32, #shared>) {
    %inside = arith.cmpi ult, %tx, %n : index
    %first = scf.if %inside -> (i32) {
      %v = memref.load %x[%bx, %tx] : memref<?x?xi32>
      scf.yield %v : i32
    } else {
      scf.yield %zero : i32
    }
    memref.store %first, %row[%tx] : memref<1024xi32, #shared>
    gpu.barrier
    %sum = scf.for %step = %c0 to %c10 step %c1 iter_args(%s = %first) -> (i32) {
      %distance = arith.shli %c1, %step : index
      %has_left = arith.cmpi uge, %tx, %distance : index
      %left = scf.if %has_left -> (i32) {
        %at = arith.subi %tx, %distance : index
        %v = memref.load %row[%at] : memref<1024xi32, #shared>
        scf.yield %v : i32
      } else {
        scf.yield %zero : i32
      }
      %next = arith.addi %s, %left : i32
      gpu.barrier
      memref.store %next, %row[%tx] : memref<1024xi32, #shared>
      gpu.barrier
      scf.yield %next : i32
    }
    scf.if %inside {
      memref.store %sum, %y[%bx, %tx] : memref<?x?xi32>
    }
    gpu.terminator
  }
  return
}
