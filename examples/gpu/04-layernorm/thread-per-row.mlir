// Layer norm, a row a thread: neighbouring lanes are a whole row apart. Needs: an NVIDIA GPU.
// planted: uncoalesced-access
func.func @layernorm(%x: memref<?x?xf32>, %gain: memref<?xf32>, %bias: memref<?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %threads = arith.constant 128 : index
  %zero = arith.constant 0.0 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %rows = memref.dim %x, %c0 : memref<?x?xf32>
  %columns = memref.dim %x, %c1 : memref<?x?xf32>
  %count_i32 = arith.index_cast %columns : index to i32
  %count = arith.sitofp %count_i32 : i32 to f32
  %blocks = arith.ceildivui %rows, %threads : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    %i = arith.addi %before, %tx : index
    %inside = arith.cmpi ult, %i, %rows : index
    scf.if %inside {
      %sum = scf.for %j = %c0 to %columns step %c1 iter_args(%s = %zero) -> (f32) {
        %v = memref.load %x[%i, %j] : memref<?x?xf32>
        %next = arith.addf %s, %v : f32
        scf.yield %next : f32
      }
      %mean = arith.divf %sum, %count : f32
      %squares = scf.for %j = %c0 to %columns step %c1 iter_args(%s = %zero) -> (f32) {
        %v = memref.load %x[%i, %j] : memref<?x?xf32>
        %d = arith.subf %v, %mean : f32
        %square = arith.mulf %d, %d : f32
        %next = arith.addf %s, %square : f32
        scf.yield %next : f32
      }
      %variance = arith.divf %squares, %count : f32
      %guarded = arith.addf %variance, %epsilon : f32
      %scale = math.rsqrt %guarded : f32
      scf.for %j = %c0 to %columns step %c1 {
        %v = memref.load %x[%i, %j] : memref<?x?xf32>
        %g = memref.load %gain[%j] : memref<?xf32>
        %b = memref.load %bias[%j] : memref<?xf32>
        %d = arith.subf %v, %mean : f32
        %normal = arith.mulf %d, %scale : f32
        %scaled = arith.mulf %normal, %g : f32
        %shifted = arith.addf %scaled, %b : f32
        memref.store %shifted, %y[%i, %j] : memref<?x?xf32>
      }
    }
    gpu.terminator
  }
  return
}
