// Symbols that are called like probes, or like the functions behind them, are none.
llvm.func @kprobe.sample(...) -> i16
llvm.func @__kinstr_mark_begin.part()
llvm.func @"__kinstr_mark_end.another part"()

llvm.func @__kinstr_entry(%arguments: !llvm.ptr) {
  llvm.call @__kinstr_mark_begin.part() : () -> ()
  %said = llvm.call @kprobe.sample(%arguments) vararg(!llvm.func<i16 (...)>) : (!llvm.ptr) -> i16
  llvm.call @"__kinstr_mark_end.another part"() : () -> ()
  llvm.return
}
