// A pipeline given on the command line runs first, with or without builtin.module around it; probes see what it leaves.
// RUN: %kinstr opt --pipeline 'convert-linalg-to-loops' --probes region-time %s | FileCheck %s
// RUN: %kinstr opt --pipeline 'builtin.module(convert-linalg-to-loops)' --probes region-time - < %s | FileCheck %s

// CHECK: "kprobe.region_begin"() {site = 0 : i32}
// CHECK-NEXT: scf.for
// CHECK: "kprobe.region_end"() {site = 0 : i32}
// CHECK-NOT: linalg.

// The site table can be written beside any output.
// RUN: %kinstr opt --pipeline 'convert-linalg-to-loops' --probes region-time --sites %t.json --emit llvm-ir %s | FileCheck %s --check-prefix=IR
// RUN: FileCheck %s --check-prefix=SITES < %t.json
// IR: @__kinstr_state =
// SITES: "probe": "region-time"
// SITES: "name": "scf.for"
func.func @fill(%x: memref<?xf32>) {
  %one = arith.constant 1.0 : f32
  linalg.fill ins(%one : f32) outs(%x : memref<?xf32>)
  return
}
