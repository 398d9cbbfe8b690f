// Matrix times vector by columns of a row-major matrix: neighbouring steps are a whole row apart. Needs: a CPU.
// planted: poor-locality
func.func @matvec(%a: memref<?x?xf32>, %x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %rows = memref.dim %a, %c0 : memref<?x?xf32>
  %columns = memref.dim %a, %c1 : memref<?x?xf32>

  scf.for %i = %c0 to %rows step %c1 {
    memref.store %zero, %y[%i] : memref<?xf32>
  }
  scf.for %j = %c0 to %columns step %c1 {
    %xj = memref.load %x[%j] : memref<?xf32>
    scf.for %i = %c0 to %rows step %c1 {
      %aij = memref.load %a[%i, %j] : memref<?x?xf32>
      %yi = memref.load %y[%i] : memref<?xf32>
      %next = math.fma %aij, %xj, %yi : f32
      memref.store %next, %y[%i] : memref<?xf32>
    }
  }
  return
}
