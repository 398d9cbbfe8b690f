// Unit vectors with a square root and three divisions each: the divider is busy all the time. Needs: a CPU.
// planted: port-bound
func.func @unit_vectors(%v: memref<3x?xf32>, %u: memref<3x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %n = memref.dim %v, %c1 : memref<3x?xf32>

  scf.for %i = %c0 to %n step %c1 {
    %x = memref.load %v[%c0, %i] : memref<3x?xf32>
    %y = memref.load %v[%c1, %i] : memref<3x?xf32>
    %z = memref.load %v[%c2, %i] : memref<3x?xf32>
    %xx = arith.mulf %x, %x : f32
    %xy = math.fma %y, %y, %xx : f32
    %square = math.fma %z, %z, %xy : f32
    %length = math.sqrt %square : f32
    %ux = arith.divf %x, %length : f32
    %uy = arith.divf %y, %length : f32
    %uz = arith.divf %z, %length : f32
    memref.store %ux, %u[%c0, %i] : memref<3x?xf32>
    memref.store %uy, %u[%c1, %i] : memref<3x?xf32>
    memref.store %uz, %u[%c2, %i] : memref<3x?xf32>
  }
  return
}
