// Every example reaches machine code, and no op of another dialect is left on the way.
// RUN: %kinstr opt --emit llvm-dialect %examples/01-softmax/linalg.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/01-softmax/online.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/01-softmax/three-pass.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/02-matmul/ijk.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/02-matmul/linalg.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/02-matmul/tiled.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/03-layernorm/linalg.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/03-layernorm/strict-sums.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/03-layernorm/super-vectorised.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/04-gelu/linalg.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/04-gelu/scalar-tanh.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/04-gelu/scheduled.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/04-gelu/vectorised.mlir | FileCheck %s

// CHECK-NOT: {{^ *(%[^ ]* = )?"?(affine|arith|bufferization|cf|func|index|kprobe|linalg|math|memref|scf|tensor|transform|vector)\.}}
// CHECK: llvm.return
// CHECK-NOT: {{^ *(%[^ ]* = )?"?(affine|arith|bufferization|cf|func|index|kprobe|linalg|math|memref|scf|tensor|transform|vector)\.}}
