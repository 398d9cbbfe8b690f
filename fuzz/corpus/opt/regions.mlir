// A row's sum and its scaling are marked; the loop over rows and the copy are regions by themselves.
func.func @normalize(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %rows = memref.dim %x, %c0 : memref<?x?xf32>
  %columns = memref.dim %x, %c1 : memref<?x?xf32>
  linalg.copy ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>)
  scf.for %i = %c0 to %rows step %c1 {
    %sum = scf.for %j = %c0 to %columns step %c1 iter_args(%s = %zero) -> (f32) {
      %v = memref.load %y[%i, %j] : memref<?x?xf32>
      %next = arith.addf %s, %v : f32
      scf.yield %next : f32
    } {kinstr.region = "row-sum"}
    scf.for %j = %c0 to %columns step %c1 {
      %v = memref.load %y[%i, %j] : memref<?x?xf32>
      %q = arith.divf %v, %sum : f32
      memref.store %q, %y[%i, %j] : memref<?x?xf32>
    } {kinstr.region = "row-scale"}
  }
  return
}
