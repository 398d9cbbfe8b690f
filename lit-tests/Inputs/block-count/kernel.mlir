// Two flops an element: 1000 elements are 2000 flops, however the loop is vectorised.
func.func @twice_plus_one(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1.0 : f32
  %two = arith.constant 2.0 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  scf.for %i = %c0 to %n step %c1 {
    %v = memref.load %x[%i] : memref<?xf32>
    %p = arith.mulf %v, %two : f32
    %s = arith.addf %p, %one : f32
    memref.store %s, %y[%i] : memref<?xf32>
  }
  return
}
