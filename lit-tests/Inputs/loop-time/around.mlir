// Loops that go through all values of their variable: it ends where it began.
llvm.func @bytes(%p: !llvm.ptr) {
  %zero = llvm.mlir.constant(0 : i8) : i8
  %one = llvm.mlir.constant(1 : i8) : i8
  llvm.br ^loop(%zero : i8)
^loop(%i: i8):
  llvm.store volatile %i, %p : i8, !llvm.ptr
  %next = llvm.add %i, %one : i8
  %end = llvm.mlir.constant(0 : i8) : i8
  %more = llvm.icmp "ne" %next, %end : i8
  llvm.cond_br %more, ^loop(%next : i8), ^exit
^exit:
  llvm.return
}

llvm.func @halves(%p: !llvm.ptr, %first: i16) {
  %one = llvm.mlir.constant(1 : i16) : i16
  llvm.br ^loop(%first : i16)
^loop(%i: i16):
  llvm.store volatile %i, %p : i16, !llvm.ptr
  %next = llvm.add %i, %one : i16
  %done = llvm.icmp "eq" %next, %first : i16
  llvm.cond_br %done, ^exit, ^loop(%next : i16)
^exit:
  llvm.return
}
