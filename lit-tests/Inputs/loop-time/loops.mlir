// A loop whose inner one moves by 4 to a bound, a search that may end early, a narrow variable that counts down and
// may pass its bound, and a cycle that is entered in two places.
llvm.func @nest(%n: i64, %p: !llvm.ptr) {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %four = llvm.mlir.constant(4 : i64) : i64
  llvm.br ^outer(%zero : i64)
^outer(%i: i64):
  llvm.br ^inner(%zero : i64)
^inner(%j: i64):
  llvm.store %j, %p : i64, !llvm.ptr
  %j_next = llvm.add %j, %four : i64
  %j_done = llvm.icmp "eq" %j_next, %n : i64
  llvm.cond_br %j_done, ^latch, ^inner(%j_next : i64)
^latch:
  %i_next = llvm.add %i, %one : i64
  %i_done = llvm.icmp "eq" %i_next, %n : i64
  llvm.cond_br %i_done, ^exit, ^outer(%i_next : i64)
^exit:
  llvm.return
}

llvm.func @search(%n: i64, %p: !llvm.ptr) -> i64 {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  llvm.br ^head(%zero : i64)
^head(%i: i64):
  %at = llvm.getelementptr %p[%i] : (!llvm.ptr, i64) -> !llvm.ptr, i64
  %value = llvm.load %at : !llvm.ptr -> i64
  %found = llvm.icmp "eq" %value, %n : i64
  llvm.cond_br %found, ^found, ^latch
^latch:
  %next = llvm.add %i, %one : i64
  %done = llvm.icmp "eq" %next, %n : i64
  llvm.cond_br %done, ^none, ^head(%next : i64)
^found:
  llvm.return %i : i64
^none:
  llvm.return %n : i64
}

llvm.func @down(%n: i32, %p: !llvm.ptr) {
  %zero = llvm.mlir.constant(0 : i32) : i32
  %minus_two = llvm.mlir.constant(-2 : i32) : i32
  llvm.br ^head(%n : i32)
^head(%i: i32):
  llvm.store %i, %p : i32, !llvm.ptr
  %next = llvm.add %i, %minus_two : i32
  %done = llvm.icmp "sle" %next, %zero : i32
  llvm.cond_br %done, ^exit, ^head(%next : i32)
^exit:
  llvm.return
}

llvm.func @two_entries(%c: i1, %p: !llvm.ptr) {
  %one = llvm.mlir.constant(1 : i64) : i64
  llvm.cond_br %c, ^a, ^b
^a:
  llvm.store %one, %p : i64, !llvm.ptr
  llvm.br ^b
^b:
  %again = llvm.load %p : !llvm.ptr -> i1
  llvm.cond_br %again, ^a, ^out
^out:
  llvm.return
}
