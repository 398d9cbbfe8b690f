// A candidate's own pipeline runs before the default lowering, and the structured point is where it ends.
// RUN: %kinstr opt --emit structured %examples/03-layernorm/super-vectorised.mlir | FileCheck %s

// CHECK-LABEL: func.func @layernorm
// CHECK: affine.for
// CHECK: vector.transfer_read
// CHECK: vector.reduction <add>
