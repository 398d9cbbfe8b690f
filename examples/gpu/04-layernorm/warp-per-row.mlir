// Layer norm, a row a warp: neighbouring lanes read neighbouring elements, and the sums meet in shuffles. Needs: an NVIDIA GPU.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @row(%x: memref<?x?xf32>, %gain: memref<?xf32>, %bias: memref<?xf32>, %y: memref<?x?xf32>)
        kernel attributes {gpu.known_block_size = array<i32: 32, 8, 1>} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      %c32 = arith.constant 32 : index
      %zero = arith.constant 0.0 : f32
      %epsilon = arith.constant 1.0e-5 : f32
      %rows = memref.dim %x, %c0 : memref<?x?xf32>
      %columns = memref.dim %x, %c1 : memref<?x?xf32>
      %count_i32 = arith.index_cast %columns : index to i32
      %count = arith.sitofp %count_i32 : i32 to f32
      %block = gpu.block_id x
      %lane = gpu.thread_id x
      %warp = gpu.thread_id y
      %before = arith.muli %block, %c8 : index
      %i = arith.addi %before, %warp : index
      // A warp is inside or outside as a whole.
      %inside = arith.cmpi ult, %i, %rows : index
      scf.if %inside {
        %my_sum = scf.for %j = %lane to %columns step %c32 iter_args(%s = %zero) -> (f32) {
          %v = memref.load %x[%i, %j] : memref<?x?xf32>
          %next = arith.addf %s, %v : f32
          scf.yield %next : f32
        }
        %sum = func.call @warp_sum(%my_sum) : (f32) -> f32
        %mean = arith.divf %sum, %count : f32
        %my_squares = scf.for %j = %lane to %columns step %c32 iter_args(%s = %zero) -> (f32) {
          %v = memref.load %x[%i, %j] : memref<?x?xf32>
          %d = arith.subf %v, %mean : f32
          %square = arith.mulf %d, %d : f32
          %next = arith.addf %s, %square : f32
          scf.yield %next : f32
        }
        %squares = func.call @warp_sum(%my_squares) : (f32) -> f32
        %variance = arith.divf %squares, %count : f32
        %guarded = arith.addf %variance, %epsilon : f32
        %scale = math.rsqrt %guarded : f32
        scf.for %j = %lane to %columns step %c32 {
          %v = memref.load %x[%i, %j] : memref<?x?xf32>
          %g = memref.load %gain[%j] : memref<?xf32>
          %b = memref.load %bias[%j] : memref<?xf32>
          %d = arith.subf %v, %mean : f32
          %normal = arith.mulf %d, %scale : f32
          %scaled = arith.mulf %normal, %g : f32
          %shifted = arith.addf %scaled, %b : f32
          memref.store %shifted, %y[%i, %j] : memref<?x?xf32>
        }
      }
      gpu.return
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

  func.func @layernorm(%x: memref<?x?xf32>, %gain: memref<?xf32>, %bias: memref<?xf32>, %y: memref<?x?xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c8 = arith.constant 8 : index
    %c32 = arith.constant 32 : index
    %rows = memref.dim %x, %c0 : memref<?x?xf32>
    %blocks = arith.ceildivui %rows, %c8 : index
    gpu.launch_func @kernels::@row blocks in (%blocks, %c1, %c1) threads in (%c32, %c8, %c1)
        args(%x : memref<?x?xf32>, %gain : memref<?xf32>, %bias : memref<?xf32>, %y : memref<?x?xf32>)
    return
  }
}
