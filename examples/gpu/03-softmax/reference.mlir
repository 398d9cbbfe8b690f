// Softmax over rows, as the reference on a GPU where there is no PyTorch: a warp a row, in three sweeps. Needs: an NVIDIA GPU.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @row(%x: memref<?x?xf32>, %y: memref<?x?xf32>) kernel attributes {gpu.known_block_size = array<i32: 32, 1, 1>} {
      %c1 = arith.constant 1 : index
      %c32 = arith.constant 32 : index
      %zero = arith.constant 0.0 : f32
      %lowest = arith.constant 0xFF800000 : f32
      %n = memref.dim %x, %c1 : memref<?x?xf32>
      %i = gpu.block_id x
      %lane = gpu.thread_id x
      %my_max = scf.for %j = %lane to %n step %c32 iter_args(%m = %lowest) -> (f32) {
        %v = memref.load %x[%i, %j] : memref<?x?xf32>
        %next = arith.maximumf %m, %v : f32
        scf.yield %next : f32
      }
      %max = func.call @warp_max(%my_max) : (f32) -> f32
      %my_sum = scf.for %j = %lane to %n step %c32 iter_args(%s = %zero) -> (f32) {
        %v = memref.load %x[%i, %j] : memref<?x?xf32>
        %below = arith.subf %v, %max : f32
        %e = math.exp %below : f32
        %next = arith.addf %s, %e : f32
        scf.yield %next : f32
      }
      %sum = func.call @warp_sum(%my_sum) : (f32) -> f32
      scf.for %j = %lane to %n step %c32 {
        %v = memref.load %x[%i, %j] : memref<?x?xf32>
        %below = arith.subf %v, %max : f32
        %e = math.exp %below : f32
        %r = arith.divf %e, %sum : f32
        memref.store %r, %y[%i, %j] : memref<?x?xf32>
      }
      gpu.return
    }

    func.func private @warp_max(%mine: f32) -> f32 {
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
      return %v1 : f32
    }

    func.func private @warp_sum(%mine: f32) -> f32 {
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
      return %v1 : f32
    }
  }

  func.func @softmax(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    %rows = memref.dim %x, %c0 : memref<?x?xf32>
    gpu.launch_func @kernels::@row blocks in (%rows, %c1, %c1) threads in (%c32, %c1, %c1)
        args(%x : memref<?x?xf32>, %y : memref<?x?xf32>)
    return
  }
}
