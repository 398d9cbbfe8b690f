// Two regions that are all there is: steps in a row, and 128 short regions with 64 steps each. Every step waits for the one before. Needs: an NVIDIA GPU.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @regions(%x: memref<?xf32>, %y: memref<?xf32>) kernel attributes {gpu.known_block_size = array<i32: 128, 1, 1>} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %many = arith.constant 8192 : index
      %runs = arith.constant 128 : index
      %few = arith.constant 64 : index
      %block = gpu.block_id x
      %thread = gpu.thread_id x
      %size = gpu.block_dim x
      %before = arith.muli %block, %size : index
      %i = arith.addi %before, %thread : index
      %v = memref.load %x[%i] : memref<?xf32>
      %row = func.call @steps(%v, %v, %many) {kinstr.region = "in a row"} : (f32, f32, index) -> f32
      %end = scf.for %run = %c0 to %runs step %c1 iter_args(%s = %row) -> (f32) {
        %next = func.call @steps(%s, %v, %few) {kinstr.region = "short"} : (f32, f32, index) -> f32
        scf.yield %next : f32
      } {kinstr.region = "in short ones"}
      memref.store %end, %y[%i] : memref<?xf32>
      gpu.return
    }
    func.func private @steps(%from: f32, %v: f32, %count: index) -> f32 {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %kept = arith.constant 0.99 : f32
      %end = scf.for %step = %c0 to %count step %c1 iter_args(%s = %from) -> (f32) {
        %shrunk = arith.mulf %s, %kept : f32
        %next = arith.addf %shrunk, %v : f32
        scf.yield %next : f32
      }
      return %end : f32
    }
  }
  func.func @regions(%x: memref<?xf32>, %y: memref<?xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %threads = arith.constant 128 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %blocks = arith.divui %n, %threads : index
    gpu.launch_func @kernels::@regions blocks in (%blocks, %c1, %c1) threads in (%threads, %c1, %c1)
        args(%x : memref<?xf32>, %y : memref<?xf32>)
    return
  }
}
