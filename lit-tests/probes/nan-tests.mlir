// A comparison is an operation, one that only asks for NaN is none.
// RUN: %kinstr opt --probes block-count --emit sites %s | FileCheck %s
// CHECK-COUNT-1: "flops": 1
// CHECK-NOT: "flops":
llvm.func @compare(%x: f32, %y: f32) -> i1 {
  %number = llvm.fcmp "ord" %x, %y : f32
  %nan = llvm.fcmp "uno" %x, %x : f32
  %less = llvm.fcmp "olt" %x, %y : f32
  %both = llvm.and %number, %less : i1
  %either = llvm.or %both, %nan : i1
  llvm.return %either : i1
}
