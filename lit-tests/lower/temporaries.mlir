// A temporary is allocated once and freed once; elementwise ops around a reduction are fused.
// RUN: %kinstr opt --emit structured %examples/01-softmax/linalg.mlir | FileCheck %s

// CHECK-LABEL: func.func @softmax
// CHECK: %[[PER_ROW:.*]] = memref.alloc
// CHECK: %[[PER_ELEMENT:.*]] = memref.alloc
// CHECK-NOT: memref.alloc
// CHECK: arith.subf
// CHECK-NEXT: math.exp
// CHECK-NOT: memref.alloc
// CHECK-DAG: memref.dealloc %[[PER_ROW]]
// CHECK-DAG: memref.dealloc %[[PER_ELEMENT]]
// CHECK-NOT: memref.dealloc
