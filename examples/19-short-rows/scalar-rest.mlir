// Short rows, sixteen elements at a time and what is left one at a time, which is half of the row. Needs: a CPU.
// planted: partially-vectorised
func.func @short_rows(%x: memref<?x?xf32>, %scale: memref<?xf32>, %shift: memref<?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %pad = arith.constant 0.0 : f32
  %rows = memref.dim %x, %c0 : memref<?x?xf32>
  %columns = memref.dim %x, %c1 : memref<?x?xf32>
  %rest = arith.remui %columns, %c16 : index
  %whole = arith.subi %columns, %rest : index

  scf.for %i = %c0 to %rows step %c1 {
    %a = memref.load %scale[%i] : memref<?xf32>
    %b = memref.load %shift[%i] : memref<?xf32>
    %a16 = vector.broadcast %a : f32 to vector<16xf32>
    %b16 = vector.broadcast %b : f32 to vector<16xf32>
    scf.for %j = %c0 to %whole step %c16 {
      %v = vector.transfer_read %x[%i, %j], %pad {in_bounds = [true]} : memref<?x?xf32>, vector<16xf32>
      %r = math.fma %v, %a16, %b16 : vector<16xf32>
      vector.transfer_write %r, %y[%i, %j] {in_bounds = [true]} : vector<16xf32>, memref<?x?xf32>
    }
    scf.for %j = %whole to %columns step %c1 {
      %v = memref.load %x[%i, %j] : memref<?x?xf32>
      %r = math.fma %v, %a, %b : f32
      memref.store %r, %y[%i, %j] : memref<?x?xf32>
    }
  }
  return
}
