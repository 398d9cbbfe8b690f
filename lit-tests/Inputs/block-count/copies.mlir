// What moves memory and is no load or store, and what block-count does not know.
llvm.func @__kinstr_entry(%p: !llvm.ptr, %q: !llvm.ptr, %n: i64, %short: i32, %lanes: vector<8xi32>) {
  %zero = llvm.mlir.constant(0 : i8) : i8
  %twelve = llvm.mlir.constant(12 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %half = llvm.mlir.constant(5.0e-01 : f32) : f32
  %four = llvm.mlir.constant(4 : i8) : i8
  %none = llvm.mlir.poison : vector<8xf32>
  %all = llvm.mlir.constant(dense<-1.0> : vector<8xf32>) : vector<8xf32>
  "llvm.intr.memcpy"(%p, %q, %twelve) <{isVolatile = false}> : (!llvm.ptr, !llvm.ptr, i64) -> ()
  "llvm.intr.memset.inline"(%p, %zero) <{isVolatile = false, len = 64 : i64}> : (!llvm.ptr, i8) -> ()
  "llvm.intr.memmove"(%p, %q, %n) <{isVolatile = false}> : (!llvm.ptr, !llvm.ptr, i64) -> ()
  "llvm.intr.memset"(%q, %zero, %short) <{isVolatile = false}> : (!llvm.ptr, i8, i32) -> ()
  %old = llvm.atomicrmw add %p, %one monotonic : !llvm.ptr, i64
  %sum = llvm.atomicrmw fadd %p, %half monotonic : !llvm.ptr, f32
  %swapped = llvm.cmpxchg %p, %one, %old acq_rel monotonic : !llvm.ptr, i64
  %g = llvm.call_intrinsic "llvm.x86.avx2.gather.d.ps.256"(%none, %q, %lanes, %all, %four) : (vector<8xf32>, !llvm.ptr, vector<8xi32>, vector<8xf32>, i8) -> vector<8xf32>
  %r = llvm.call_intrinsic "llvm.x86.avx.rsqrt.ps.256"(%g) : (vector<8xf32>) -> vector<8xf32>
  %h = llvm.call_intrinsic "llvm.x86.avx.hadd.ps.256"(%r, %g) : (vector<8xf32>, vector<8xf32>) -> vector<8xf32>
  %d = llvm.call_intrinsic "llvm.x86.avx.dp.ps.256"(%r, %g, %four) : (vector<8xf32>, vector<8xf32>, i8) -> vector<8xf32>
  llvm.inline_asm has_side_effects "", "~{memory}" : () -> ()
  llvm.inline_asm has_side_effects "pause", "~{memory}" : () -> ()
  llvm.store %h, %p : vector<8xf32>, !llvm.ptr
  llvm.return
}
