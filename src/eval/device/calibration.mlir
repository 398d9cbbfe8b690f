// What a probe costs on a device: loops of a known length and of twice that length in one warp, each step of which waits
// for the one before. What the short loop lasts beyond the difference is the part of its probe inside of it; what a run of
// the loop around it lasts beyond that is what the probe adds to the code around. Lengths come from the grid, which is 1,
// because loops of known lengths would be unrolled.
func.func @calibration() {
  %1 = arith.constant 1 : index
  %lanes = arith.constant 32 : index
  %start = gpu.wait async
  %seen, %allocated = gpu.alloc async [%start] () : memref<2xi64>
  gpu.wait [%allocated]
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %1, %gy = %1, %gz = %1)
             threads(%tx, %ty, %tz) in (%sx = %lanes, %sy = %1, %sz = %1) {
    %0 = arith.constant 0 : index
    %one = arith.constant 1 : index
    %unit = gpu.grid_dim x
    %c200 = arith.constant 200 : index
    %c100 = arith.constant 100 : index
    %shift = arith.constant 29 : i64
    %factor = arith.constant 6364136223846793005 : i64
    %runs = arith.muli %unit, %c200 : index
    %short = arith.muli %unit, %c100 : index
    %long = arith.muli %unit, %c200 : index
    %seed = arith.index_cast %tx : index to i64
    %middle = scf.for %i = %0 to %runs step %one iter_args(%outer = %seed) -> (i64) {
      %last = scf.for %j = %0 to %short step %one iter_args(%state = %outer) -> (i64) {
        %high = arith.shrui %state, %shift : i64
        %mixed = arith.xori %state, %high : i64
        %next = arith.muli %mixed, %factor : i64
        scf.yield %next : i64
      }
      scf.yield %last : i64
    }
    %end = scf.for %i = %0 to %runs step %one iter_args(%outer = %middle) -> (i64) {
      %last = scf.for %j = %0 to %long step %one iter_args(%state = %outer) -> (i64) {
        %high = arith.shrui %state, %shift : i64
        %mixed = arith.xori %state, %high : i64
        %next = arith.muli %mixed, %factor : i64
        scf.yield %next : i64
      }
      scf.yield %last : i64
    }
    memref.store %middle, %seen[%0] : memref<2xi64>
    memref.store %end, %seen[%one] : memref<2xi64>
    gpu.terminator
  }
  %after = gpu.wait async
  %freed = gpu.dealloc async [%after] %seen : memref<2xi64>
  gpu.wait [%freed]
  return
}
