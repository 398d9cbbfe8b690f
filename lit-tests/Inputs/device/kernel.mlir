// One kernel with something for every probe of a GPU: an asynchronous copy to shared memory and the wait for it, a barrier, a
// marked loop, a branch that lanes part at, and an atomic addition.
#shared = #gpu.address_space<workgroup>

func.func @sums(%x: memref<4096xf32>, %y: memref<32xf32>) {
  %c1 = arith.constant 1 : index
  %c32 = arith.constant 32 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %c32, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %c32, %sy = %c1, %sz = %c1)
             workgroup(%tile : memref<128xf32, #shared>) {
    %c0 = arith.constant 0 : index
    %c4 = arith.constant 4 : index
    %c100 = arith.constant 100 : index
    %c128 = arith.constant 128 : index
    %zero = arith.constant 0.0 : f32
    %from = arith.muli %bx, %c128 : index
    %four = arith.muli %tx, %c4 : index
    %at = arith.addi %from, %four : index
    %copy = nvgpu.device_async_copy %x[%at], %tile[%four], 4 : memref<4096xf32> to memref<128xf32, #shared>
    %group = nvgpu.device_async_create_group %copy
    nvgpu.device_async_wait %group
    gpu.barrier
    %end = arith.addi %tx, %c100 : index
    %sum = scf.for %i = %tx to %end step %c1 iter_args(%a = %zero) -> (f32) {
      %wrapped = arith.remui %i, %c128 : index
      %v = memref.load %tile[%wrapped] : memref<128xf32, #shared>
      %w = arith.mulf %a, %v : f32
      %b = arith.addf %w, %v : f32
      scf.yield %b : f32
    } {kinstr.region = "walk"}
    %enough = arith.cmpf ogt, %sum, %zero : f32
    scf.if %enough {
      %old = memref.atomic_rmw addf %sum, %y[%bx] : (f32, memref<32xf32>) -> f32
    }
    gpu.terminator
  }
  return
}
