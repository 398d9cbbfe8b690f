// Pointers that come from more than one place.
llvm.func @malloc(i64) -> !llvm.ptr

// Two buffers that change places on every trip: neither access is of one of them.
llvm.func @__kinstr_entry(%arguments: !llvm.ptr, %n: i64, %k: i32, %c: i1, %other: !llvm.ptr, %lanes: vector<4xi1>) {
  %c0 = llvm.mlir.constant(0 : i64) : i64
  %c1 = llvm.mlir.constant(1 : i64) : i64
  %x_descriptor = llvm.load %arguments : !llvm.ptr -> !llvm.ptr
  %x = llvm.load %x_descriptor : !llvm.ptr -> !llvm.ptr
  %y_argument = llvm.getelementptr %arguments[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %y_descriptor = llvm.load %y_argument : !llvm.ptr -> !llvm.ptr
  %y = llvm.load %y_descriptor : !llvm.ptr -> !llvm.ptr
  llvm.br ^swap(%x, %y, %c0 : !llvm.ptr, !llvm.ptr, i64)
^swap(%from: !llvm.ptr, %to: !llvm.ptr, %i: i64):
  %v = llvm.load %from : !llvm.ptr -> f32
  llvm.store %v, %to : f32, !llvm.ptr
  %next = llvm.add %i, %c1 : i64
  %more = llvm.icmp "ult" %next, %n : i64
  llvm.cond_br %more, ^swap(%to, %from, %next : !llvm.ptr, !llvm.ptr, i64), ^walk(%x : !llvm.ptr)
// One buffer, walked by its pointer.
^walk(%at: !llvm.ptr):
  %w = llvm.load %at : !llvm.ptr -> f32
  %further = llvm.getelementptr %at[4] : (!llvm.ptr) -> !llvm.ptr, i8
  llvm.cond_br %c, ^walk(%further : !llvm.ptr), ^choose
// Every edge of a switch counts.
^choose:
  llvm.switch %k : i32, ^chosen(%y : !llvm.ptr) [ 1: ^same, 2: ^chosen(%y : !llvm.ptr) ]
^same:
  llvm.br ^chosen(%x : !llvm.ptr)
^chosen(%either: !llvm.ptr):
  llvm.store %v, %either : f32, !llvm.ptr
  llvm.switch %k : i32, ^agreed(%y : !llvm.ptr) [ 1: ^agreed(%y : !llvm.ptr) ]
^agreed(%only: !llvm.ptr):
  llvm.store %v, %only : f32, !llvm.ptr
  // What is not known speaks against what is.
  %maybe = llvm.select %c, %x, %other : i1, !llvm.ptr
  llvm.store %v, %maybe : f32, !llvm.ptr
  // A vector of addresses in one buffer.
  %none = llvm.mlir.poison : vector<4x!llvm.ptr>
  %first = llvm.insertelement %x, %none[%c0 : i64] : vector<4x!llvm.ptr>
  %bases = llvm.shufflevector %first, %none [0, 0, 0, 0] : vector<4x!llvm.ptr>
  %steps = llvm.mlir.constant(dense<[0, 8, 16, 24]> : vector<4xi64>) : vector<4xi64>
  %addresses = llvm.getelementptr %bases[%steps] : (vector<4x!llvm.ptr>, vector<4xi64>) -> vector<4x!llvm.ptr>, f32
  %nothing = llvm.mlir.zero : vector<4xf32>
  %gathered = llvm.intr.masked.gather %addresses, %lanes, %nothing {alignment = 4 : i32} : (vector<4x!llvm.ptr>, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
  // An allocation is the same one in the function that it is passed to.
  %size = llvm.mlir.constant(64 : i64) : i64
  %temporary = llvm.call @malloc(%size) : (i64) -> !llvm.ptr
  llvm.store %gathered, %temporary : vector<4xf32>, !llvm.ptr
  llvm.call @inner(%temporary) : (!llvm.ptr) -> ()
  llvm.return
}

llvm.func internal @inner(%p: !llvm.ptr) {
  %pair = llvm.load %p : !llvm.ptr -> !llvm.struct<(f32, i32)>
  llvm.store %pair, %p : !llvm.struct<(f32, i32)>, !llvm.ptr
  llvm.return
}
