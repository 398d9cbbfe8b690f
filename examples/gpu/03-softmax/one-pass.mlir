// Softmax with the row in shared memory: each element is read once and written once. Needs: an NVIDIA GPU; N at most 8192.
#shared = #gpu.address_space<workgroup>
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @row(%x: memref<?x?xf32>, %y: memref<?x?xf32>) workgroup(%row : memref<8192xf32, #shared>, %meet : memref<8xf32, #shared>)
        kernel attributes {gpu.known_block_size = array<i32: 256, 1, 1>} {
      %c1 = arith.constant 1 : index
      %c256 = arith.constant 256 : index
      %zero = arith.constant 0.0 : f32
      %one = arith.constant 1.0 : f32
      %lowest = arith.constant 0xFF800000 : f32
      %n = memref.dim %x, %c1 : memref<?x?xf32>
      %i = gpu.block_id x
      %t = gpu.thread_id x
      // A thread comes back to its own elements only, so no barrier is needed for the row.
      %my_max = scf.for %j = %t to %n step %c256 iter_args(%m = %lowest) -> (f32) {
        %v = memref.load %x[%i, %j] : memref<?x?xf32>
        memref.store %v, %row[%j] : memref<8192xf32, #shared>
        %next = arith.maximumf %m, %v : f32
        scf.yield %next : f32
      }
      %max = func.call @block_max(%my_max, %meet) : (f32, memref<8xf32, #shared>) -> f32
      %my_sum = scf.for %j = %t to %n step %c256 iter_args(%s = %zero) -> (f32) {
        %v = memref.load %row[%j] : memref<8192xf32, #shared>
        %below = arith.subf %v, %max : f32
        %e = math.exp %below : f32
        memref.store %e, %row[%j] : memref<8192xf32, #shared>
        %next = arith.addf %s, %e : f32
        scf.yield %next : f32
      }
      %sum = func.call @block_sum(%my_sum, %meet) : (f32, memref<8xf32, #shared>) -> f32
      %scale = arith.divf %one, %sum : f32
      scf.for %j = %t to %n step %c256 {
        %e = memref.load %row[%j] : memref<8192xf32, #shared>
        %r = arith.mulf %e, %scale : f32
        memref.store %r, %y[%i, %j] : memref<?x?xf32>
      }
      gpu.return
    }

    // Of all threads of a block of 256: each lane gets its warp's result, then the warps meet in shared memory.
    func.func private @block_max(%mine: f32, %meet: memref<8xf32, #shared>) -> f32 {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      %c32 = arith.constant 32 : index
      %all = arith.constant 32 : i32
      %o1 = arith.constant 1 : i32
      %o2 = arith.constant 2 : i32
      %o4 = arith.constant 4 : i32
      %o8 = arith.constant 8 : i32
      %o16 = arith.constant 16 : i32
      %f16, %p16 = gpu.shuffle xor %mine, %o16, %all : f32
      %v16 = arith.maximumf %mine, %f16 : f32
      %f8, %p8 = gpu.shuffle xor %v16, %o8, %all : f32
      %v8 = arith.maximumf %v16, %f8 : f32
      %f4, %p4 = gpu.shuffle xor %v8, %o4, %all : f32
      %v4 = arith.maximumf %v8, %f4 : f32
      %f2, %p2 = gpu.shuffle xor %v4, %o2, %all : f32
      %v2 = arith.maximumf %v4, %f2 : f32
      %f1, %p1 = gpu.shuffle xor %v2, %o1, %all : f32
      %v1 = arith.maximumf %v2, %f1 : f32
      %t = gpu.thread_id x
      %warp = arith.divui %t, %c32 : index
      memref.store %v1, %meet[%warp] : memref<8xf32, #shared>
      gpu.barrier
      %first = memref.load %meet[%c0] : memref<8xf32, #shared>
      %most = scf.for %w = %c1 to %c8 step %c1 iter_args(%s = %first) -> (f32) {
        %v = memref.load %meet[%w] : memref<8xf32, #shared>
        %next = arith.maximumf %s, %v : f32
        scf.yield %next : f32
      }
      // The meeting place may be used again.
      gpu.barrier
      return %most : f32
    }

    func.func private @block_sum(%mine: f32, %meet: memref<8xf32, #shared>) -> f32 {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      %c32 = arith.constant 32 : index
      %all = arith.constant 32 : i32
      %o1 = arith.constant 1 : i32
      %o2 = arith.constant 2 : i32
      %o4 = arith.constant 4 : i32
      %o8 = arith.constant 8 : i32
      %o16 = arith.constant 16 : i32
      %f16, %p16 = gpu.shuffle xor %mine, %o16, %all : f32
      %v16 = arith.addf %mine, %f16 : f32
      %f8, %p8 = gpu.shuffle xor %v16, %o8, %all : f32
      %v8 = arith.addf %v16, %f8 : f32
      %f4, %p4 = gpu.shuffle xor %v8, %o4, %all : f32
      %v4 = arith.addf %v8, %f4 : f32
      %f2, %p2 = gpu.shuffle xor %v4, %o2, %all : f32
      %v2 = arith.addf %v4, %f2 : f32
      %f1, %p1 = gpu.shuffle xor %v2, %o1, %all : f32
      %v1 = arith.addf %v2, %f1 : f32
      %t = gpu.thread_id x
      %warp = arith.divui %t, %c32 : index
      memref.store %v1, %meet[%warp] : memref<8xf32, #shared>
      gpu.barrier
      %first = memref.load %meet[%c0] : memref<8xf32, #shared>
      %sum = scf.for %w = %c1 to %c8 step %c1 iter_args(%s = %first) -> (f32) {
        %v = memref.load %meet[%w] : memref<8xf32, #shared>
        %next = arith.addf %s, %v : f32
        scf.yield %next : f32
      }
      // The meeting place may be used again.
      gpu.barrier
      return %sum : f32
    }
  }

  func.func @softmax(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c256 = arith.constant 256 : index
    %c8192 = arith.constant 8192 : index
    %rows = memref.dim %x, %c0 : memref<?x?xf32>
    %columns = memref.dim %x, %c1 : memref<?x?xf32>
    %fits = arith.cmpi ule, %columns, %c8192 : index
    cf.assert %fits, "a row must fit into shared memory"
    gpu.launch_func @kernels::@row blocks in (%rows, %c1, %c1) threads in (%c256, %c1, %c1)
        args(%x : memref<?x?xf32>, %y : memref<?x?xf32>)
    return
  }
}
