// The same launches on streams of their own, of which each waits for the one before: they take as long as all together. Needs: an NVIDIA GPU.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @steps(%x: memref<?xf32>, %y: memref<?xf32>, %from: index, %count: index) kernel {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %kept = arith.constant 0.99 : f32
      %block = gpu.block_id x
      %thread = gpu.thread_id x
      %size = gpu.block_dim x
      %before = arith.muli %block, %size : index
      %there = arith.addi %before, %thread : index
      %i = arith.addi %from, %there : index
      %v = memref.load %x[%i] : memref<?xf32>
      %end = scf.for %step = %c0 to %count step %c1 iter_args(%s = %v) -> (f32) {
        %shrunk = arith.mulf %s, %kept : f32
        %next = arith.addf %shrunk, %v : f32
        scf.yield %next : f32
      }
      memref.store %end, %y[%i] : memref<?xf32>
      gpu.return
    }
  }
  func.func @streams(%x: memref<?xf32>, %y: memref<?xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c3 = arith.constant 3 : index
    %few = arith.constant 65536 : index
    %many = arith.constant 262144 : index
    %threads = arith.constant 128 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %part = arith.divui %n, %c3 : index
    %twice = arith.muli %part, %c2 : index
    %blocks = arith.divui %part, %threads : index
    %s0 = gpu.wait async
    %t0 = gpu.launch_func async [%s0] @kernels::@steps blocks in (%blocks, %c1, %c1) threads in (%threads, %c1, %c1)
        args(%x : memref<?xf32>, %y : memref<?xf32>, %c0 : index, %few : index)
    %s1 = gpu.wait async [%t0]
    %t1 = gpu.launch_func async [%s1] @kernels::@steps blocks in (%blocks, %c1, %c1) threads in (%threads, %c1, %c1)
        args(%x : memref<?xf32>, %y : memref<?xf32>, %part : index, %many : index)
    %s2 = gpu.wait async [%t1]
    %t2 = gpu.launch_func async [%s2] @kernels::@steps blocks in (%blocks, %c1, %c1) threads in (%threads, %c1, %c1)
        args(%x : memref<?xf32>, %y : memref<?xf32>, %twice : index, %few : index)
    gpu.wait [%t2]
    return
  }
}
