// After conversion no kprobe op is left, in either mode; and a module without probes gets no record library.
// RUN: %kinstr opt --probes region-time --emit llvm-dialect %s | FileCheck %s
// RUN: %kinstr opt --probes region-time --mode trace --emit llvm-dialect %s | FileCheck %s
// RUN: %kinstr opt --probes block-count --emit llvm-dialect %s | FileCheck %s
// RUN: %kinstr opt --probes block-count --mode trace --emit llvm-dialect %s | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %s | FileCheck %s --check-prefix=CLEAN

// CHECK-NOT: kprobe.
// CHECK: @__kinstr_get_unit
// CHECK-NOT: kprobe.

// CLEAN-NOT: @__kinstr_state
// CLEAN: llvm.func @__kinstr_entry
// CLEAN-NOT: @__kinstr_state
func.func @nested(%x: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1.0 : f32
  scf.for %i = %c0 to %n step %c1 {
    linalg.fill {kinstr.region = "inner"} ins(%one : f32) outs(%x : memref<?xf32>)
  }
  return
}
