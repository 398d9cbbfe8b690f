// Convolution straight from the input. Needs: a CPU; N a multiple of 16.
func.func @convolution(%x: memref<?xf32>, %w: memref<9xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %taps = arith.constant 9 : index
  %zero = arith.constant 0.0 : f32
  %zeros = arith.constant dense<0.0> : vector<16xf32>
  %n = memref.dim %y, %c0 : memref<?xf32>
  %rest = arith.remui %n, %c16 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "N must be a multiple of 16"

  scf.for %i = %c0 to %n step %c16 {
    %sum = scf.for %k = %c0 to %taps step %c1 iter_args(%s = %zeros) -> (vector<16xf32>) {
      %tap = memref.load %w[%k] : memref<9xf32>
      %taps16 = vector.broadcast %tap : f32 to vector<16xf32>
      %at = arith.addi %i, %k : index
      %v = vector.transfer_read %x[%at], %zero {in_bounds = [true]} : memref<?xf32>, vector<16xf32>
      %next = math.fma %taps16, %v, %s : vector<16xf32>
      scf.yield %next : vector<16xf32>
    }
    vector.transfer_write %sum, %y[%i] {in_bounds = [true]} : vector<16xf32>, memref<?xf32>
  }
  return
}
