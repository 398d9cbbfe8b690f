// Prefix sums, a row a warp: shuffles instead of barriers, 32 elements at a time. Needs: an NVIDIA GPU.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @row(%x: memref<?x?xi32>, %y: memref<?x?xi32>) kernel attributes {gpu.known_block_size = array<i32: 32, 8, 1>} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      %c32 = arith.constant 32 : index
      %zero = arith.constant 0 : i32
      %all = arith.constant 32 : i32
      %last_lane = arith.constant 31 : i32
      %m = memref.dim %x, %c0 : memref<?x?xi32>
      %n = memref.dim %x, %c1 : memref<?x?xi32>
      %block = gpu.block_id x
      %lane = gpu.thread_id x
      %warp = gpu.thread_id y
      %before = arith.muli %block, %c8 : index
      %i = arith.addi %before, %warp : index
      %has_row = arith.cmpi ult, %i, %m : index
      scf.if %has_row {
        %total = scf.for %start = %c0 to %n step %c32 iter_args(%carried = %zero) -> (i32) {
          %j = arith.addi %start, %lane : index
          %inside = arith.cmpi ult, %j, %n : index
          %v = scf.if %inside -> (i32) {
            %read = memref.load %x[%i, %j] : memref<?x?xi32>
            scf.yield %read : i32
          } else {
            scf.yield %zero : i32
          }
          %sum = func.call @warp_prefix(%v) : (i32) -> i32
          %here = arith.addi %sum, %carried : i32
          scf.if %inside {
            memref.store %here, %y[%i, %j] : memref<?x?xi32>
          }
          %next, %valid = gpu.shuffle idx %here, %last_lane, %all : i32
          scf.yield %next : i32
        }
      }
      gpu.return
    }

    func.func private @warp_prefix(%v: i32) -> i32 {
      %zero = arith.constant 0 : i32
      %all = arith.constant 32 : i32
      %o1 = arith.constant 1 : i32
      %o2 = arith.constant 2 : i32
      %o4 = arith.constant 4 : i32
      %o8 = arith.constant 8 : i32
      %o16 = arith.constant 16 : i32
      %u1, %p1 = gpu.shuffle up %v, %o1, %all : i32
      %a1 = arith.select %p1, %u1, %zero : i32
      %s1 = arith.addi %v, %a1 : i32
      %u2, %p2 = gpu.shuffle up %s1, %o2, %all : i32
      %a2 = arith.select %p2, %u2, %zero : i32
      %s2 = arith.addi %s1, %a2 : i32
      %u4, %p4 = gpu.shuffle up %s2, %o4, %all : i32
      %a4 = arith.select %p4, %u4, %zero : i32
      %s4 = arith.addi %s2, %a4 : i32
      %u8, %p8 = gpu.shuffle up %s4, %o8, %all : i32
      %a8 = arith.select %p8, %u8, %zero : i32
      %s8 = arith.addi %s4, %a8 : i32
      %u16, %p16 = gpu.shuffle up %s8, %o16, %all : i32
      %a16 = arith.select %p16, %u16, %zero : i32
      %s16 = arith.addi %s8, %a16 : i32
      return %s16 : i32
    }
  }

  func.func @prefix_sum(%x: memref<?x?xi32>, %y: memref<?x?xi32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c8 = arith.constant 8 : index
    %c32 = arith.constant 32 : index
    %m = memref.dim %x, %c0 : memref<?x?xi32>
    %blocks = arith.ceildivui %m, %c8 : index
    gpu.launch_func @kernels::@row blocks in (%blocks, %c1, %c1) threads in (%c32, %c8, %c1)
        args(%x : memref<?x?xi32>, %y : memref<?x?xi32>)
    return
  }
}
