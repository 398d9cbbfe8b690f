// Vector add, four elements a thread in 128-bit accesses; up to three elements at the end go one by one. Needs: an NVIDIA GPU.
func.func @vector_add(%a: memref<?xf32>, %b: memref<?xf32>, %c: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %threads = arith.constant 256 : index
  %per_block = arith.constant 1024 : index
  %n = memref.dim %a, %c0 : memref<?xf32>
  %blocks = arith.ceildivui %n, %per_block : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %blocks, %gy = %c1, %gz = %c1)
             threads(%tx, %ty, %tz) in (%sx = %threads, %sy = %c1, %sz = %c1) {
    %before = arith.muli %bx, %sx : index
    %thread = arith.addi %before, %tx : index
    %first = arith.muli %thread, %c4 : index
    %past = arith.addi %first, %c4 : index
    %whole = arith.cmpi ule, %past, %n : index
    scf.if %whole {
      %ai = vector.load %a[%first] {alignment = 16 : i64} : memref<?xf32>, vector<4xf32>
      %bi = vector.load %b[%first] {alignment = 16 : i64} : memref<?xf32>, vector<4xf32>
      %sum = arith.addf %ai, %bi : vector<4xf32>
      vector.store %sum, %c[%first] {alignment = 16 : i64} : memref<?xf32>, vector<4xf32>
    } else {
      scf.for %i = %first to %n step %c1 {
        %ai = memref.load %a[%i] : memref<?xf32>
        %bi = memref.load %b[%i] : memref<?xf32>
        %sum = arith.addf %ai, %bi : f32
        memref.store %sum, %c[%i] : memref<?xf32>
      }
    }
    gpu.terminator
  }
  return
}
