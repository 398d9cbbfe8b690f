// A schedule runs and is gone afterwards; the masks it makes survive bufferisation.
// RUN: %kinstr opt --emit structured %examples/04-gelu/scheduled.mlir | FileCheck %s

// CHECK-NOT: transform.
// CHECK-LABEL: func.func @gelu
// CHECK: scf.for
// CHECK: vector.create_mask
// CHECK: math.tanh {{.*}} : vector<16xf32>
// CHECK-NOT: transform.
