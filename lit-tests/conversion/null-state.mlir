// While the host has set no state, records go to a sink of the module's own: nothing is recorded and nothing harmed.
// RUN: %kinstr opt --probes region-time --emit llvm-dialect %s | FileCheck %s
// RUN: %kinstr opt --probes block-count --emit llvm-dialect %s | FileCheck %s

// The host finds the state by name; it starts as null.
// CHECK: llvm.mlir.global external @__kinstr_state() {{.*}} : !llvm.ptr {
// CHECK-NEXT: %[[NULL:.*]] = llvm.mlir.zero : !llvm.ptr
// CHECK-NEXT: llvm.return %[[NULL]]
// CHECK: llvm.mlir.global internal @__kinstr_sink()

// CHECK-LABEL: llvm.func internal @__kinstr_get_unit
// CHECK: %[[WHERE:.*]] = llvm.mlir.addressof @__kinstr_state
// CHECK: %[[STATE:.*]] = llvm.load %[[WHERE]]
// CHECK: %[[ZERO:.*]] = llvm.mlir.zero
// CHECK: %[[OFF:.*]] = llvm.icmp "eq" %[[STATE]], %[[ZERO]]
// CHECK: llvm.cond_br %[[OFF]], ^[[TO_SINK:.*]], ^[[ATTACH:.*]]
// CHECK: ^[[TO_SINK]]:
// CHECK-NEXT: %[[SINK:.*]] = llvm.mlir.addressof @__kinstr_sink
// CHECK-NEXT: llvm.return %[[SINK]]

// Else the host's function, at byte 8 of the state, hands out this thread's unit.
// CHECK: ^[[ATTACH]]:
// CHECK-NEXT: %[[SLOT:.*]] = llvm.getelementptr %[[STATE]][8]
// CHECK-NEXT: %[[FUNCTION:.*]] = llvm.load %[[SLOT]]
// CHECK-NEXT: %[[UNIT:.*]] = llvm.call %[[FUNCTION]](%[[STATE]])
// CHECK-NEXT: llvm.return %[[UNIT]]
func.func @fill(%x: memref<?xf32>) {
  %one = arith.constant 1.0 : f32
  linalg.fill ins(%one : f32) outs(%x : memref<?xf32>)
  return
}
