// Where records go (trace/src/layout.rs), here with three sites: a unit is a header of 128 bytes, 32 bytes of
// aggregate a site, 8 bytes of counter a site, the words that sites own (here none), and then the records.
//   aggregate of site s   128 + 32 s                128, 160, 192
//   counter of site s     128 + 32 * 3 + 8 s        224, 232, 240
//   records               128 + (32 + 8) * 3        248
//   a unit, one record slot and the spare one: 248 + 16, to the next multiple of 128 = 384
// RUN: %kinstr opt --probes region-time --emit llvm-dialect %s | FileCheck %s --check-prefixes=CHECK,INTERVAL
// RUN: %kinstr opt --probes region-time --mode trace --emit llvm-dialect %s | FileCheck %s --check-prefixes=CHECK,EVENT
// RUN: %kinstr opt --probes block-count --emit llvm-dialect %S/../Inputs/three-blocks.mlir | FileCheck %s --check-prefix=COUNT
// RUN: %kinstr opt --probes block-count --mode trace --emit llvm-dialect %S/../Inputs/three-blocks.mlir | FileCheck %s --check-prefix=COUNT-EVENT

// CHECK-NOT: kprobe.
// CHECK-LABEL: llvm.func internal @three

// INTERVAL: %[[SITE0:.*]] = llvm.mlir.constant(128 : i64)
// INTERVAL-NEXT: @__kinstr_record_interval({{[^,]*}}, %[[SITE0]],
// INTERVAL: %[[SITE1:.*]] = llvm.mlir.constant(160 : i64)
// INTERVAL-NEXT: @__kinstr_record_interval({{[^,]*}}, %[[SITE1]],
// INTERVAL: %[[SITE2:.*]] = llvm.mlir.constant(192 : i64)
// INTERVAL-NEXT: @__kinstr_record_interval({{[^,]*}}, %[[SITE2]],

// A record's word: site << 32 | kind << 52, kind 0 a begin and 1 an end. Clock and sequence are added at run time.
// EVENT: %[[RECORDS:.*]] = llvm.mlir.constant(248 : i64)
// EVENT-NEXT: %[[BEGIN0:.*]] = llvm.mlir.constant(0 : i64)
// EVENT-NEXT: @__kinstr_record_event({{[^,]*}}, %[[RECORDS]], %[[BEGIN0]],
// EVENT: %[[END0:.*]] = llvm.mlir.constant(4503599627370496 : i64)
// EVENT-NEXT: @__kinstr_record_event({{[^,]*}}, {{[^,]*}}, %[[END0]],
// EVENT: %[[BEGIN1:.*]] = llvm.mlir.constant(4294967296 : i64)
// EVENT-NEXT: @__kinstr_record_event({{[^,]*}}, {{[^,]*}}, %[[BEGIN1]],
// EVENT: %[[END2:.*]] = llvm.mlir.constant(4503608217305088 : i64)
// EVENT-NEXT: @__kinstr_record_event({{[^,]*}}, {{[^,]*}}, %[[END2]],

// CHECK: @__kinstr_sink() {{.*}} : !llvm.array<384 x i8>

// COUNT: llvm.mlir.constant(224 : i64)
// COUNT-NEXT: @__kinstr_add_count
// COUNT: llvm.mlir.constant(232 : i64)
// COUNT-NEXT: @__kinstr_add_count
// COUNT: llvm.mlir.constant(240 : i64)
// COUNT-NEXT: @__kinstr_add_count
// COUNT-NOT: llvm.call @__kinstr_add_count

// Kind 2 is a count.
// COUNT-EVENT: %[[CLOCK:.*]] = llvm.mlir.constant(0 : i64)
// COUNT-EVENT-NEXT: %[[RECORDS:.*]] = llvm.mlir.constant(248 : i64)
// COUNT-EVENT-NEXT: %[[WORD:.*]] = llvm.mlir.constant(9007199254740992 : i64)
// COUNT-EVENT-NEXT: @__kinstr_record_event({{[^,]*}}, %[[RECORDS]], %[[WORD]], %[[CLOCK]])
// COUNT-EVENT: llvm.mlir.constant(9007203549708288 : i64)
func.func @three(%x: memref<?xf32>, %y: memref<?xf32>, %z: memref<?xf32>) {
  linalg.copy ins(%x : memref<?xf32>) outs(%y : memref<?xf32>)
  linalg.copy ins(%x : memref<?xf32>) outs(%z : memref<?xf32>)
  linalg.exp ins(%z : memref<?xf32>) outs(%z : memref<?xf32>)
  return
}
