// What timing probes cost. For each kind two kernels whose loop runs what is timed, and of which the second has more of it: four times
// the steps in a loop or region, or two waits where the first has one. In a build that times the kernels alone their difference says
// how long it takes; what a probe adds is what a run of the loop takes longer with it. Each step waits for the one before. Every
// kernel is launched as one warp, and so that it fills all SMs; with some runs, and with three times as many, so that what a kernel takes
// besides its runs plays no part.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @steps_less(%runs: index) kernel {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %steps = arith.constant 100 : index
      %seed = func.call @seed() : () -> i64
      %end = scf.for %run = %0 to %runs step %1 iter_args(%state = %seed) -> (i64) {
        %last = func.call @steps(%state, %steps) {kinstr.region = "steps"} : (i64, index) -> i64
        scf.yield %last : i64
      }
      func.call @need(%end) : (i64) -> ()
      gpu.return
    }
    gpu.func @steps_more(%runs: index) kernel {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %steps = arith.constant 400 : index
      %seed = func.call @seed() : () -> i64
      %end = scf.for %run = %0 to %runs step %1 iter_args(%state = %seed) -> (i64) {
        %last = func.call @steps(%state, %steps) {kinstr.region = "steps"} : (i64, index) -> i64
        scf.yield %last : i64
      }
      func.call @need(%end) : (i64) -> ()
      gpu.return
    }
    gpu.func @barrier_less(%runs: index) kernel {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %seed = func.call @seed() : () -> i64
      %end = scf.for %run = %0 to %runs step %1 iter_args(%state = %seed) -> (i64) {
        nvvm.barrier0
        %middle = func.call @step(%state) : (i64) -> i64
        %last = func.call @step(%middle) : (i64) -> i64
        scf.yield %last : i64
      }
      func.call @need(%end) : (i64) -> ()
      gpu.return
    }
    gpu.func @barrier_more(%runs: index) kernel {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %seed = func.call @seed() : () -> i64
      %end = scf.for %run = %0 to %runs step %1 iter_args(%state = %seed) -> (i64) {
        nvvm.barrier0
        %middle = func.call @step(%state) : (i64) -> i64
        nvvm.barrier0
        %last = func.call @step(%middle) : (i64) -> i64
        scf.yield %last : i64
      }
      func.call @need(%end) : (i64) -> ()
      gpu.return
    }
    gpu.func @wait_less(%runs: index) kernel {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %seed = func.call @seed() : () -> i64
      %end = scf.for %run = %0 to %runs step %1 iter_args(%state = %seed) -> (i64) {
        nvvm.cp.async.wait.group 0
        %middle = func.call @step(%state) : (i64) -> i64
        %last = func.call @step(%middle) : (i64) -> i64
        scf.yield %last : i64
      }
      func.call @need(%end) : (i64) -> ()
      gpu.return
    }
    gpu.func @wait_more(%runs: index) kernel {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %seed = func.call @seed() : () -> i64
      %end = scf.for %run = %0 to %runs step %1 iter_args(%state = %seed) -> (i64) {
        nvvm.cp.async.wait.group 0
        %middle = func.call @step(%state) : (i64) -> i64
        nvvm.cp.async.wait.group 0
        %last = func.call @step(%middle) : (i64) -> i64
        scf.yield %last : i64
      }
      func.call @need(%end) : (i64) -> ()
      gpu.return
    }

    func.func private @seed() -> i64 {
      %thread = gpu.thread_id x
      %seed = arith.index_cast %thread : index to i64
      return %seed : i64
    }
    func.func private @step(%state: i64) -> i64 {
      %shift = arith.constant 29 : i64
      %factor = arith.constant 6364136223846793005 : i64
      %high = arith.shrui %state, %shift : i64
      %mixed = arith.xori %state, %high : i64
      %next = arith.muli %mixed, %factor : i64
      return %next : i64
    }
    func.func private @steps(%state: i64, %count: index) -> i64 {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %end = scf.for %i = %0 to %count step %1 iter_args(%before = %state) -> (i64) {
        %next = func.call @step(%before) : (i64) -> i64
        scf.yield %next : i64
      }
      return %end : i64
    }
    // So that nothing is left out.
    func.func private @need(%state: i64) {
      llvm.inline_asm has_side_effects "// $0", "l" %state : (i64) -> ()
      return
    }
  }

  func.func @calibration() {
    %1 = arith.constant 1 : index
    %warp = arith.constant 32 : index
    %eight = arith.constant 256 : index
    // Eight warps a block: 132 SMs, as an H100 has, hold 1056 of them at once.
    %many = arith.constant 1056 : index
    %8 = arith.constant 8 : index
    %24 = arith.constant 24 : index
    %32 = arith.constant 32 : index
    %96 = arith.constant 96 : index
    gpu.launch_func @kernels::@steps_less blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%8 : index)
    gpu.launch_func @kernels::@steps_less blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%24 : index)
    gpu.launch_func @kernels::@steps_more blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%8 : index)
    gpu.launch_func @kernels::@steps_more blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%24 : index)
    gpu.launch_func @kernels::@barrier_less blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%32 : index)
    gpu.launch_func @kernels::@barrier_less blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%96 : index)
    gpu.launch_func @kernels::@barrier_more blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%32 : index)
    gpu.launch_func @kernels::@barrier_more blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%96 : index)
    gpu.launch_func @kernels::@wait_less blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%32 : index)
    gpu.launch_func @kernels::@wait_less blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%96 : index)
    gpu.launch_func @kernels::@wait_more blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%32 : index)
    gpu.launch_func @kernels::@wait_more blocks in (%1, %1, %1) threads in (%warp, %1, %1)
        args(%96 : index)
    gpu.launch_func @kernels::@steps_less blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%8 : index)
    gpu.launch_func @kernels::@steps_less blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%24 : index)
    gpu.launch_func @kernels::@steps_more blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%8 : index)
    gpu.launch_func @kernels::@steps_more blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%24 : index)
    gpu.launch_func @kernels::@barrier_less blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%32 : index)
    gpu.launch_func @kernels::@barrier_less blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%96 : index)
    gpu.launch_func @kernels::@barrier_more blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%32 : index)
    gpu.launch_func @kernels::@barrier_more blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%96 : index)
    gpu.launch_func @kernels::@wait_less blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%32 : index)
    gpu.launch_func @kernels::@wait_less blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%96 : index)
    gpu.launch_func @kernels::@wait_more blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%32 : index)
    gpu.launch_func @kernels::@wait_more blocks in (%many, %1, %1) threads in (%eight, %1, %1)
        args(%96 : index)
    return
  }
}
