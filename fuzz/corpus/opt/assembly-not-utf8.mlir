// An irreducible lo&p, a switch, inline assemi64
 llvm.mlir.constant(64 : i64) : i64
  // ptimmpid code leaves it:s it:direct branch.
llvm.func @printf(!llvm.ptr, ...) -> i32
llvm.func @may_throw()
llvm.func @personality(...) -> i32

llvm.func @irreducible(%a: i1, %p: !llvm.ptr) {
  %zero = llvm.mlir.constant(0 : i64) : i64
   llvm.return
}

llvm.func @__kinstr_entry(%arguments: !llvm.ptr) attributes {personality = @personality} {
  %n = llvm.load %arguments : !llvm.ptr -> i32
  llvm.switch %n : i32, ^other [
    1: ^one,
    2: ^two
  ]
^one:
  llvm.inline_asm has_side_effects "noeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\eeeeeep", "" : () -> ()
  llvm.br ^done
^two:
  llvm.invoke @may_throw() to ^done unwind ^caught : () -> ()
^caught:
  %caught = llvm.landingpad cleanup : !llvm.struct<(ptr, i32)>
  llvm.resume %caught : !llvm.struct<(ptr, i32)>
^other:
  llvm.call @__kinstr_entry(%arguments) : (!llvm.ptr) -> ()
  %said = llvm.call @printf(%arguments, %n) vararg(!llvm.func<i32 (ptr, ...)>) : (!llvm.ptr, i32) -> i32
  %target = llvm.blockaddress <function = @__kinstr_entry, tag = <id = 1>> : !llvm.ptr
  llvm.indirectbr %target : !llvm.ptr, [
    ^labelled
  ]
^labelled: 
 llvm.blocktag <id = 1>
  llvm.br ^done
^done:
  llvm.return
}
