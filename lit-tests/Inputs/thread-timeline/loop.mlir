// A loop in a function that threads run.
llvm.func @__kmpc_fork_call(!llvm.ptr, i32, !llvm.ptr, ...)

llvm.func internal @share(%thread: !llvm.ptr, %bound: !llvm.ptr, %p: !llvm.ptr) {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %n = llvm.mlir.constant(100 : i64) : i64
  llvm.br ^loop(%zero : i64)
^loop(%i: i64):
  llvm.store volatile %i, %p : i64, !llvm.ptr
  %next = llvm.add %i, %one : i64
  %more = llvm.icmp "ne" %next, %n : i64
  llvm.cond_br %more, ^loop(%next : i64), ^exit
^exit:
  llvm.return
}

llvm.func @entry(%p: !llvm.ptr) {
  %one = llvm.mlir.constant(1 : i32) : i32
  %share = llvm.mlir.addressof @share : !llvm.ptr
  llvm.call @__kmpc_fork_call(%p, %one, %share, %p) vararg(!llvm.func<void (ptr, i32, ptr, ...)>) : (!llvm.ptr, i32, !llvm.ptr, !llvm.ptr) -> ()
  llvm.return
}
