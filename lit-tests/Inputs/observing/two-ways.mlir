llvm.func @__kinstr_entry(%arguments: !llvm.ptr, %condition: i1) {
  llvm.switch %condition : i1, ^no [ 1: ^yes ]
^no:
  llvm.return
^yes:
  llvm.return
}
