// Three blocks, however good the optimiser: a call that it may not remove stands behind a condition.
func.func private @touch()

func.func @maybe(%x: memref<1xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %v = memref.load %x[%c0] : memref<1xf32>
  %positive = arith.cmpf ogt, %v, %zero : f32
  scf.if %positive {
    func.call @touch() : () -> ()
  }
  return
}
