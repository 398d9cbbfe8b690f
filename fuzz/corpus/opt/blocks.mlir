// Optimised code as LLVM leaves it: a vector loop over argument 0 into argument 1, and a call.
llvm.func @expf(f32) -> f32

llvm.func @__kinstr_entry(%arguments: !llvm.ptr) {
  %c0 = llvm.mlir.constant(0 : i64) : i64
  %c16 = llvm.mlir.constant(16 : i64) : i64
  %c64 = llvm.mlir.constant(64 : i64) : i64
  %x_descriptor = llvm.load %arguments : !llvm.ptr -> !llvm.ptr
  %x_slot = llvm.getelementptr %x_descriptor[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %x = llvm.load %x_slot : !llvm.ptr -> !llvm.ptr
  %y_argument = llvm.getelementptr %arguments[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %y_descriptor = llvm.load %y_argument : !llvm.ptr -> !llvm.ptr
  %y_slot = llvm.getelementptr %y_descriptor[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %y = llvm.load %y_slot : !llvm.ptr -> !llvm.ptr
  llvm.br ^loop(%c0 : i64)
^loop(%i: i64):
  %from = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
  %v = llvm.load %from : !llvm.ptr -> vector<16xf32>
  %f = llvm.intr.fma(%v, %v, %v) : (vector<16xf32>, vector<16xf32>, vector<16xf32>) -> vector<16xf32>
  %q = llvm.fdiv %f, %v : vector<16xf32>
  %to = llvm.getelementptr %y[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
  llvm.store %q, %to : vector<16xf32>, !llvm.ptr
  %next = llvm.add %i, %c16 : i64
  %more = llvm.icmp "ult" %next, %c64 : i64
  llvm.cond_br %more, ^loop(%next : i64), ^exit
^exit:
  %first = llvm.load %y : !llvm.ptr -> f32
  %e = llvm.call @expf(%first) : (f32) -> f32
  llvm.store %e, %y : f32, !llvm.ptr
  llvm.return
}
