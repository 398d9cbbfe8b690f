// Where libdevice is needed and not there, the function is named, and where was looked. The cache folder is an empty one.
// RUN: not env XDG_CACHE_HOME=%t.none KINSTR_LIBDEVICE=/none %kinstr opt --emit ptx %s 2>&1 | FileCheck %s

// CHECK: `__nv_tanhf` is a function of NVIDIA's libdevice, which is not here
// CHECK: /none
gpu.module @kernels {
  gpu.func @squash(%x: memref<?xf32>) kernel {
    %thread = gpu.thread_id x
    %v = memref.load %x[%thread] : memref<?xf32>
    %t = math.tanh %v : f32
    memref.store %t, %x[%thread] : memref<?xf32>
    gpu.return
  }
}
