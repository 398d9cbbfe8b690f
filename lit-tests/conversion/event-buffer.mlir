// A full buffer keeps its first records, and later ones go to the spare slot; or it is a ring and keeps its last: the
// mask, which the host sets, decides. The cursor counts them all, so that what was lost can be said. The cursor is at
// byte 40 of a unit, the capacity at byte 48, the mask at byte 56.
// RUN: %kinstr opt --probes region-time --mode trace --emit llvm-dialect %s | FileCheck %s

// CHECK-LABEL: llvm.func internal @__kinstr_record_event
// CHECK-SAME: (%[[UNIT:.*]]: !llvm.ptr, %[[RECORDS:.*]]: i64, %[[WORD:.*]]: i64, %[[PAYLOAD:.*]]: i64)
// CHECK: %[[ONE:.*]] = llvm.mlir.constant(1 : i64)
// CHECK: %[[LOW:.*]] = llvm.mlir.constant(4294967295 : i64)
// CHECK: %[[SHIFT:.*]] = llvm.mlir.constant(56 : i64)
// CHECK: %[[CURSOR_AT:.*]] = llvm.getelementptr %[[UNIT]][40]
// CHECK: %[[CAPACITY_AT:.*]] = llvm.getelementptr %[[UNIT]][48]
// CHECK: %[[MASK_AT:.*]] = llvm.getelementptr %[[UNIT]][56]
// CHECK: %[[CURSOR:.*]] = llvm.load %[[CURSOR_AT]]
// CHECK: %[[CAPACITY:.*]] = llvm.load %[[CAPACITY_AT]]
// CHECK: %[[MASK:.*]] = llvm.load %[[MASK_AT]]
// CHECK: %[[NEXT:.*]] = llvm.add %[[CURSOR]], %[[ONE]]
// CHECK: llvm.store %[[NEXT]], %[[CURSOR_AT]]
// CHECK: %[[MASKED:.*]] = llvm.and %[[CURSOR]], %[[MASK]]
// CHECK: %[[SLOT:.*]] = llvm.intr.umin(%[[MASKED]], %[[CAPACITY]])
// CHECK: %[[BASE:.*]] = llvm.getelementptr %[[UNIT]][%[[RECORDS]]]
// CHECK: %[[RECORD:.*]] = llvm.getelementptr %[[BASE]][%[[SLOT]]]
// CHECK-DAG: %[[CLOCK:.*]] = llvm.and %[[PAYLOAD]], %[[LOW]]
// CHECK-DAG: %[[SEQUENCE:.*]] = llvm.shl %[[CURSOR]], %[[SHIFT]]
// CHECK: llvm.store %{{.*}}, %[[RECORD]]
func.func @fill(%x: memref<?xf32>) {
  %one = arith.constant 1.0 : f32
  linalg.fill ins(%one : f32) outs(%x : memref<?xf32>)
  return
}
