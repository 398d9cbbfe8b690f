// A gpu.launch in host code is outlined, and its body emitted as a kernel.
// RUN: %kinstr opt --emit ptx %s | FileCheck %s --check-prefix=PTX
// RUN: %kinstr opt --emit amdgcn %s | FileCheck %s --check-prefix=GCN

// PTX: .visible .entry clear_kernel(
// PTX: st.global.b32
// GCN: clear_kernel:
// GCN: global_store_dword
func.func @clear(%x: memref<?xf32>, %blocks: index, %threads: index) {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    memref.store %zero, %x[%tx] : memref<?xf32>
    gpu.terminator
  }
  return
}
