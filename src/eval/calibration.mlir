// What a probe costs: regions of a known length and of four times that length, in turns, each step of which waits for the one
// before. The loop in a region is timed too. What the short loop lasts beyond a third of the difference is the part of its
// probe inside of it; what the region around it lasts beyond that is what the loop's probe adds to the code around. Around
// work a probe costs less than around nothing, because the processor does some of both at once.
memref.global @seen : memref<1xi64> = uninitialized
func.func @calibration() {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %runs = arith.constant 500 : index
  %short = arith.constant 100 : index
  %long = arith.constant 400 : index
  %shift = arith.constant 29 : i64
  %factor = arith.constant 6364136223846793005 : i64
  %seen = memref.get_global @seen : memref<1xi64>
  %seed = memref.load %seen[%0] : memref<1xi64>
  %end = scf.for %i = %0 to %runs step %1 iter_args(%outer = %seed) -> (i64) {
    %middle = scf.for %j = %0 to %short step %1 iter_args(%state = %outer) -> (i64) {
      %high = arith.shrui %state, %shift : i64
      %mixed = arith.xori %state, %high : i64
      %next = arith.muli %mixed, %factor : i64
      scf.yield %next : i64
    } {kinstr.region = "short"}
    %last = scf.for %j = %0 to %long step %1 iter_args(%state = %middle) -> (i64) {
      %high = arith.shrui %state, %shift : i64
      %mixed = arith.xori %state, %high : i64
      %next = arith.muli %mixed, %factor : i64
      scf.yield %next : i64
    } {kinstr.region = "long"}
    scf.yield %last : i64
  }
  memref.store %end, %seen[%0] : memref<1xi64>
  return
}
