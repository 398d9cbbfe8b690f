// Regions of known length: each step waits for the one before, so that a region takes its steps times one step. No two
// steps can be folded into one, as those of a linear generator can.
func.func @spin(%x: memref<1xi64>, %y: memref<1xi64>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = arith.constant 6364136223846793005 : i64
  %b = arith.constant 29 : i64
  %s0 = memref.load %x[%c0] : memref<1xi64>
  %n250 = arith.constant 250 : index
  %s1 = scf.for %i = %c0 to %n250 step %c1 iter_args(%s = %s0) -> (i64) {
    %high = arith.shrui %s, %b : i64
    %mixed = arith.xori %s, %high : i64
    %next = arith.muli %mixed, %a : i64
    scf.yield %next : i64
  } {kinstr.region = "250 steps"}
  %n1000 = arith.constant 1000 : index
  %s2 = scf.for %i = %c0 to %n1000 step %c1 iter_args(%s = %s1) -> (i64) {
    %high = arith.shrui %s, %b : i64
    %mixed = arith.xori %s, %high : i64
    %next = arith.muli %mixed, %a : i64
    scf.yield %next : i64
  } {kinstr.region = "1000 steps"}
  %n4000 = arith.constant 4000 : index
  %s3 = scf.for %i = %c0 to %n4000 step %c1 iter_args(%s = %s2) -> (i64) {
    %high = arith.shrui %s, %b : i64
    %mixed = arith.xori %s, %high : i64
    %next = arith.muli %mixed, %a : i64
    scf.yield %next : i64
  } {kinstr.region = "4000 steps"}
  %n16000 = arith.constant 16000 : index
  %s4 = scf.for %i = %c0 to %n16000 step %c1 iter_args(%s = %s3) -> (i64) {
    %high = arith.shrui %s, %b : i64
    %mixed = arith.xori %s, %high : i64
    %next = arith.muli %mixed, %a : i64
    scf.yield %next : i64
  } {kinstr.region = "16000 steps"}
  memref.store %s4, %y[%c0] : memref<1xi64>
  return
}
