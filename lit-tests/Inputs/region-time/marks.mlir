// Marks where no region can be, and one without a name.
func.func @marks(%x: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %v = memref.load %x[%i] : memref<?xf32>
    memref.store %v, %x[%i] {kinstr.region = ""} : memref<?xf32>
    scf.yield {kinstr.region = "end of a trip"}
  }
  return {kinstr.region = "end"}
}
