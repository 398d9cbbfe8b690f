// Decay of channels, down to denormal numbers, on which a division takes longer. Needs: a CPU; C a multiple of 128.
// planted: denormal-slowdown
func.func @decay(%start: memref<?xf32>, %rate: memref<?xf32>, %total: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c128 = arith.constant 128 : index
  %steps = arith.constant 4096 : index
  %pad = arith.constant 0.0 : f32
  %zeros = arith.constant dense<0.0> : vector<128xf32>
  %ones = arith.constant dense<1.0> : vector<128xf32>
  %channels = memref.dim %start, %c0 : memref<?xf32>
  %rest = arith.remui %channels, %c128 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "C must be a multiple of 128"

  scf.for %c = %c0 to %channels step %c128 {
    %amplitude = vector.transfer_read %start[%c], %pad {in_bounds = [true]} : memref<?xf32>, vector<128xf32>
    %r = vector.transfer_read %rate[%c], %pad {in_bounds = [true]} : memref<?xf32>, vector<128xf32>
    %divisor = arith.addf %r, %ones : vector<128xf32>
    %end, %sum = scf.for %t = %c0 to %steps step %c1 iter_args(%u = %amplitude, %s = %zeros) -> (vector<128xf32>, vector<128xf32>) {
      %next = arith.divf %u, %divisor : vector<128xf32>
      %more = arith.addf %s, %next : vector<128xf32>
      scf.yield %next, %more : vector<128xf32>, vector<128xf32>
    }
    vector.transfer_write %sum, %total[%c] {in_bounds = [true]} : vector<128xf32>, memref<?xf32>
  }
  return
}
