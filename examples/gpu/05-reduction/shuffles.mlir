// Sum of a vector: registers, then shuffles, then shared memory, then one atomic add a block. Needs: an NVIDIA GPU; N below 2^32.
#shared = #gpu.address_space<workgroup>
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @clear(%sum: memref<1xi64>) kernel {
      %c0 = arith.constant 0 : index
      %zero = arith.constant 0 : i64
      memref.store %zero, %sum[%c0] : memref<1xi64>
      gpu.return
    }

    gpu.func @add(%x: memref<?xi32>, %sum: memref<1xi64>) workgroup(%meet : memref<8xi32, #shared>)
        kernel attributes {gpu.known_block_size = array<i32: 256, 1, 1>} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c4 = arith.constant 4 : index
      %c8 = arith.constant 8 : index
      %c32 = arith.constant 32 : index
      %zero = arith.constant 0 : i32
      %zeros = arith.constant dense<0> : vector<4xi32>
      %n = memref.dim %x, %c0 : memref<?xi32>
      %block = gpu.block_id x
      %blocks = gpu.grid_dim x
      %t = gpu.thread_id x
      %width = gpu.block_dim x
      %before = arith.muli %block, %width : index
      %thread = arith.addi %before, %t : index
      %threads = arith.muli %blocks, %width : index
      // Four elements an access, all threads side by side.
      %quads = arith.divui %n, %c4 : index
      %fours = scf.for %q = %thread to %quads step %threads iter_args(%s = %zeros) -> (vector<4xi32>) {
        %i = arith.muli %q, %c4 : index
        %v = vector.load %x[%i] {alignment = 16 : i64} : memref<?xi32>, vector<4xi32>
        %next = arith.addi %s, %v : vector<4xi32>
        scf.yield %next : vector<4xi32>
      }
      %most = vector.reduction <add>, %fours : vector<4xi32> into i32
      // Up to three elements are left.
      %whole = arith.muli %quads, %c4 : index
      %mine_at = arith.addi %whole, %thread : index
      %left = arith.cmpi ult, %mine_at, %n : index
      %rest = scf.if %left -> (i32) {
        %v = memref.load %x[%mine_at] : memref<?xi32>
        scf.yield %v : i32
      } else {
        scf.yield %zero : i32
      }
      %mine = arith.addi %most, %rest : i32
      %of_warp = func.call @warp_sum(%mine) : (i32) -> i32
      %warp = arith.divui %t, %c32 : index
      memref.store %of_warp, %meet[%warp] : memref<8xi32, #shared>
      gpu.barrier
      %leads = arith.cmpi eq, %t, %c0 : index
      scf.if %leads {
        %of_block = scf.for %w = %c0 to %c8 step %c1 iter_args(%s = %zero) -> (i32) {
          %v = memref.load %meet[%w] : memref<8xi32, #shared>
          %next = arith.addi %s, %v : i32
          scf.yield %next : i32
        }
        %wide = arith.extsi %of_block : i32 to i64
        %old = memref.atomic_rmw addi %wide, %sum[%c0] : (i64, memref<1xi64>) -> i64
      }
      gpu.return
    }

    func.func private @warp_sum(%mine: i32) -> i32 {
      %all = arith.constant 32 : i32
      %o1 = arith.constant 1 : i32
      %o2 = arith.constant 2 : i32
      %o4 = arith.constant 4 : i32
      %o8 = arith.constant 8 : i32
      %o16 = arith.constant 16 : i32
      %f16, %p16 = gpu.shuffle xor %mine, %o16, %all : i32
      %v16 = arith.addi %mine, %f16 : i32
      %f8, %p8 = gpu.shuffle xor %v16, %o8, %all : i32
      %v8 = arith.addi %v16, %f8 : i32
      %f4, %p4 = gpu.shuffle xor %v8, %o4, %all : i32
      %v4 = arith.addi %v8, %f4 : i32
      %f2, %p2 = gpu.shuffle xor %v4, %o2, %all : i32
      %v2 = arith.addi %v4, %f2 : i32
      %f1, %p1 = gpu.shuffle xor %v2, %o1, %all : i32
      %v1 = arith.addi %v2, %f1 : i32
      return %v1 : i32
    }
  }

  func.func @reduction(%x: memref<?xi32>, %sum: memref<1xi64>) {
    %c1 = arith.constant 1 : index
    %threads = arith.constant 256 : index
    // Eight blocks for each of 132 SMs.
    %blocks = arith.constant 1056 : index
    %start = gpu.wait async
    %cleared = gpu.launch_func async [%start] @kernels::@clear blocks in (%c1, %c1, %c1) threads in (%c1, %c1, %c1)
        args(%sum : memref<1xi64>)
    %done = gpu.launch_func async [%cleared] @kernels::@add blocks in (%blocks, %c1, %c1) threads in (%threads, %c1, %c1)
        args(%x : memref<?xi32>, %sum : memref<1xi64>)
    gpu.wait [%done]
    return
  }
}
