// Regions of known length: each step waits for the one before, so that a region takes its steps times one step. No two
// steps can be folded into one, as those of a linear generator can. Short regions run as often as gives all lengths the same
// time, so that what others do on the machine disturbs all alike.
func.func @spin(%x: memref<1xi64>, %y: memref<1xi64>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = arith.constant 6364136223846793005 : i64
  %b = arith.constant 29 : i64
  %s0 = memref.load %x[%c0] : memref<1xi64>
  %n250 = arith.constant 250 : index
  %times250 = arith.constant 64 : index
  %s1 = scf.for %run = %c0 to %times250 step %c1 iter_args(%outer250 = %s0) -> (i64) {
    %r250 = scf.for %i = %c0 to %n250 step %c1 iter_args(%s = %outer250) -> (i64) {
      %high = arith.shrui %s, %b : i64
      %mixed = arith.xori %s, %high : i64
      %next = arith.muli %mixed, %a : i64
      scf.yield %next : i64
    } {kinstr.region = "250 steps"}
    scf.yield %r250 : i64
  }
  %n1000 = arith.constant 1000 : index
  %times1000 = arith.constant 16 : index
  %s2 = scf.for %run = %c0 to %times1000 step %c1 iter_args(%outer1000 = %s1) -> (i64) {
    %r1000 = scf.for %i = %c0 to %n1000 step %c1 iter_args(%s = %outer1000) -> (i64) {
      %high = arith.shrui %s, %b : i64
      %mixed = arith.xori %s, %high : i64
      %next = arith.muli %mixed, %a : i64
      scf.yield %next : i64
    } {kinstr.region = "1000 steps"}
    scf.yield %r1000 : i64
  }
  %n4000 = arith.constant 4000 : index
  %times4000 = arith.constant 4 : index
  %s3 = scf.for %run = %c0 to %times4000 step %c1 iter_args(%outer4000 = %s2) -> (i64) {
    %r4000 = scf.for %i = %c0 to %n4000 step %c1 iter_args(%s = %outer4000) -> (i64) {
      %high = arith.shrui %s, %b : i64
      %mixed = arith.xori %s, %high : i64
      %next = arith.muli %mixed, %a : i64
      scf.yield %next : i64
    } {kinstr.region = "4000 steps"}
    scf.yield %r4000 : i64
  }
  %n16000 = arith.constant 16000 : index
  %times16000 = arith.constant 1 : index
  %s4 = scf.for %run = %c0 to %times16000 step %c1 iter_args(%outer16000 = %s3) -> (i64) {
    %r16000 = scf.for %i = %c0 to %n16000 step %c1 iter_args(%s = %outer16000) -> (i64) {
      %high = arith.shrui %s, %b : i64
      %mixed = arith.xori %s, %high : i64
      %next = arith.muli %mixed, %a : i64
      scf.yield %next : i64
    } {kinstr.region = "16000 steps"}
    scf.yield %r16000 : i64
  }
  memref.store %s4, %y[%c0] : memref<1xi64>
  return
}
