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
// RUN: %kinstr opt --emit llvm-dialect %examples/05-row-sum/linalg.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/05-row-sum/one-chain.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/05-row-sum/tree.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/06-stencil/columns-first.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/06-stencil/rows-first.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/07-embedding-bag/plain.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/07-embedding-bag/prefetch.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/08-matvec/by-columns.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/08-matvec/by-rows.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/08-matvec/linalg.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/09-transpose/linalg.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/09-transpose/naive.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/09-transpose/tiled.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/10-prefix-sum/blocked.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/10-prefix-sum/serial.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/11-histogram/eight-tables.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/11-histogram/one-table.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/12-random-walk/one-by-one.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/12-random-walk/side-by-side.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/13-compaction/branch.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/13-compaction/branchless.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/14-convolution/direct.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/14-convolution/im2col.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/15-decay/denormal.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/15-decay/flushed.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/16-grouped-sum/own-lines.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/16-grouped-sum/shared-line.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/17-pair-energy/async-tasks.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/17-pair-energy/equal-rows.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/17-pair-energy/equal-work.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/18-outer-sum/plain-stores.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/18-outer-sum/streaming-stores.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/19-short-rows/masked-rest.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/19-short-rows/scalar-rest.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/20-unit-vectors/divisions.mlir | FileCheck %s
// RUN: %kinstr opt --emit llvm-dialect %examples/20-unit-vectors/newton.mlir | FileCheck %s

// CHECK-NOT: {{^ *(%[^ ]* = )?"?(affine|arith|bufferization|cf|func|index|kprobe|linalg|math|memref|scf|tensor|transform|vector)\.}}
// CHECK: llvm.return
// CHECK-NOT: {{^ *(%[^ ]* = )?"?(affine|arith|bufferization|cf|func|index|kprobe|linalg|math|memref|scf|tensor|transform|vector)\.}}
