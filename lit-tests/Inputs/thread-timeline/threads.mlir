// Two functions, of which one is handed to OpenMP, waits at a barrier in its middle, for a group of tasks, and for its turn in
// a reduction.
llvm.func @__kmpc_fork_call(!llvm.ptr, i32, !llvm.ptr, ...)
llvm.func @__kmpc_barrier(!llvm.ptr, i32)
llvm.func @__kmpc_taskgroup(!llvm.ptr, i32)
llvm.func @__kmpc_end_taskgroup(!llvm.ptr, i32)
llvm.func @__kmpc_reduce_nowait(!llvm.ptr, i32) -> i32
llvm.func @__kmpc_end_reduce_nowait(!llvm.ptr, i32)
llvm.mlir.global internal constant @ident(0 : i64) : i64

llvm.func internal @share(%thread: !llvm.ptr, %bound: !llvm.ptr, %p: !llvm.ptr) {
  %where = llvm.mlir.addressof @ident : !llvm.ptr
  %id = llvm.load %thread : !llvm.ptr -> i32
  llvm.store %id, %p : i32, !llvm.ptr
  llvm.call @__kmpc_barrier(%where, %id) : (!llvm.ptr, i32) -> ()
  %odd = llvm.trunc %id : i32 to i1
  llvm.cond_br %odd, ^early, ^late
^early:
  llvm.return
^late:
  llvm.call @__kmpc_taskgroup(%where, %id) : (!llvm.ptr, i32) -> ()
  llvm.call @__kmpc_end_taskgroup(%where, %id) : (!llvm.ptr, i32) -> ()
  %turn = llvm.call @__kmpc_reduce_nowait(%where, %id) : (!llvm.ptr, i32) -> i32
  llvm.call @__kmpc_end_reduce_nowait(%where, %id) : (!llvm.ptr, i32) -> ()
  llvm.store %id, %bound : i32, !llvm.ptr
  llvm.return
}

llvm.func @alone(%p: !llvm.ptr) {
  %zero = llvm.mlir.constant(0 : i32) : i32
  llvm.store %zero, %p : i32, !llvm.ptr
  llvm.return
}

llvm.func @entry(%p: !llvm.ptr) {
  %where = llvm.mlir.addressof @ident : !llvm.ptr
  %one = llvm.mlir.constant(1 : i32) : i32
  %share = llvm.mlir.addressof @share : !llvm.ptr
  llvm.call @__kmpc_fork_call(%where, %one, %share, %p) vararg(!llvm.func<void (ptr, i32, ptr, ...)>) : (!llvm.ptr, i32, !llvm.ptr, !llvm.ptr) -> ()
  llvm.call @alone(%p) : (!llvm.ptr) -> ()
  llvm.return
}
