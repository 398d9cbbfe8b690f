// LLVM dialect as it comes back from the optimiser: a masked store, a gather by indices that are loaded, a chain, a switch.
llvm.func @__kinstr_entry(%a: !llvm.ptr, %m: vector<4xi1>, %v: vector<4xf32>) {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %n = llvm.mlir.constant(8 : i64) : i64
  llvm.br ^loop(%zero, %a : i64, !llvm.ptr)
^loop(%i: i64, %node: !llvm.ptr):
  %p = llvm.getelementptr %a[%i] : (!llvm.ptr, i64) -> !llvm.ptr, i32
  %index = llvm.load %p : !llvm.ptr -> vector<4xi32>
  %ps = llvm.getelementptr %a[%index] : (!llvm.ptr, vector<4xi32>) -> vector<4x!llvm.ptr>, f32
  %g = llvm.intr.masked.gather %ps, %m, %v {alignment = 4 : i32} : (vector<4x!llvm.ptr>, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
  llvm.intr.masked.store %g, %p, %m {alignment = 4 : i32} : vector<4xf32>, vector<4xi1> into !llvm.ptr
  %next = llvm.load %node : !llvm.ptr -> !llvm.ptr
  llvm.switch %i : i64, ^latch [
    3: ^latch
  ]
^latch:
  %i_1 = llvm.add %i, %one : i64
  %more = llvm.icmp "ult" %i_1, %n : i64
  llvm.cond_br %more, ^loop(%i_1, %next : i64, !llvm.ptr), ^out
^out:
  llvm.return
}
