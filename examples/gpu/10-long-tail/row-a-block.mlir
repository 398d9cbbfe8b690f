// Sums of rows, a row a block: the last block has five hundred times the work of the others. Needs: an NVIDIA GPU.
// planted: load-imbalance
#shared = #gpu.address_space<workgroup>
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @row(%x: memref<?x2048xi32>, %y: memref<?xi32>) workgroup(%meet : memref<8xi32, #shared>)
        kernel attributes {gpu.known_block_size = array<i32: 256, 1, 1>} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c256 = arith.constant 256 : index
      %c2048 = arith.constant 2048 : index
      %zero = arith.constant 0 : i32
      %pieces = memref.dim %x, %c0 : memref<?x2048xi32>
      %rows = memref.dim %y, %c0 : memref<?xi32>
      %row = gpu.block_id x
      %t = gpu.thread_id x
      %next_row = arith.addi %row, %c1 : index
      %is_last = arith.cmpi eq, %next_row, %rows : index
      %end = arith.select %is_last, %pieces, %next_row : index
      %mine = scf.for %p = %row to %end step %c1 iter_args(%before = %zero) -> (i32) {
        %with_piece = scf.for %j = %t to %c2048 step %c256 iter_args(%s = %before) -> (i32) {
          %v = memref.load %x[%p, %j] : memref<?x2048xi32>
          %next = arith.addi %s, %v : i32
          scf.yield %next : i32
        }
        scf.yield %with_piece : i32
      }
      %sum = func.call @block_sum(%mine, %meet) : (i32, memref<8xi32, #shared>) -> i32
      %leads = arith.cmpi eq, %t, %c0 : index
      scf.if %leads {
        memref.store %sum, %y[%row] : memref<?xi32>
      }
      gpu.return
    }

    // Of all threads of a block of 256, known to the first of them.
    func.func private @block_sum(%mine: i32, %meet: memref<8xi32, #shared>) -> i32 {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      %c32 = arith.constant 32 : index
      %zero = arith.constant 0 : i32
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
      %t = gpu.thread_id x
      %warp = arith.divui %t, %c32 : index
      memref.store %v1, %meet[%warp] : memref<8xi32, #shared>
      gpu.barrier
      %sum = scf.for %w = %c0 to %c8 step %c1 iter_args(%s = %zero) -> (i32) {
        %v = memref.load %meet[%w] : memref<8xi32, #shared>
        %next = arith.addi %s, %v : i32
        scf.yield %next : i32
      }
      return %sum : i32
    }
  }

  func.func @ragged_sum(%x: memref<?x2048xi32>, %y: memref<?xi32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c256 = arith.constant 256 : index
    %rows = memref.dim %y, %c0 : memref<?xi32>
    gpu.launch_func @kernels::@row blocks in (%rows, %c1, %c1) threads in (%c256, %c1, %c1)
        args(%x : memref<?x2048xi32>, %y : memref<?xi32>)
    return
  }
}
