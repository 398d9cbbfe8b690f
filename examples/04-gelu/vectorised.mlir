// GELU on sixteen elements at a time, written as x / (1 + exp(-2u)) with the exponential in line. Needs: a CPU.
func.func @gelu(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %pad = arith.constant 0.0 : f32
  %one = arith.constant dense<1.0> : vector<16xf32>
  // -2 sqrt(2/pi), and the same times 0.044715.
  %linear = arith.constant dense<-1.5957691216> : vector<16xf32>
  %cubic = arith.constant dense<-0.0713548163> : vector<16xf32>
  %n = memref.dim %x, %c0 : memref<?xf32>

  scf.for %i = %c0 to %n step %c16 {
    %v = vector.transfer_read %x[%i], %pad : memref<?xf32>, vector<16xf32>
    %square = arith.mulf %v, %v : vector<16xf32>
    %factor = math.fma %square, %cubic, %linear : vector<16xf32>
    %minus_2u = arith.mulf %factor, %v : vector<16xf32>
    %e = func.call @exp(%minus_2u) : (vector<16xf32>) -> vector<16xf32>
    %denominator = arith.addf %e, %one : vector<16xf32>
    %g = arith.divf %v, %denominator : vector<16xf32>
    vector.transfer_write %g, %y[%i] : vector<16xf32>, memref<?xf32>
  }
  return
}

// exp(t), clamped to |t| <= 87: 2^n through the exponent bits times a polynomial for 2^f on [-0.5, 0.5]; relative error under 3e-7.
func.func private @exp(%t: vector<16xf32>) -> vector<16xf32> {
  %least = arith.constant dense<-87.0> : vector<16xf32>
  %most = arith.constant dense<87.0> : vector<16xf32>
  %log2e = arith.constant dense<1.44269504> : vector<16xf32>
  %round = arith.constant dense<12582912.0> : vector<16xf32>
  %a5 = arith.constant dense<1.32187e-3> : vector<16xf32>
  %a4 = arith.constant dense<9.6717e-3> : vector<16xf32>
  %a3 = arith.constant dense<5.550893e-2> : vector<16xf32>
  %a2 = arith.constant dense<2.4022238e-1> : vector<16xf32>
  %a1 = arith.constant dense<6.9314686e-1> : vector<16xf32>
  %a0 = arith.constant dense<1.0> : vector<16xf32>
  %mantissa = arith.constant dense<23> : vector<16xi32>
  %raised = arith.maximumf %t, %least fastmath<nnan,nsz> : vector<16xf32>
  %u = arith.minimumf %raised, %most fastmath<nnan,nsz> : vector<16xf32>
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  %biased = math.fma %u, %log2e, %round : vector<16xf32>
  %minus_n = arith.subf %round, %biased : vector<16xf32>
  %f = math.fma %u, %log2e, %minus_n : vector<16xf32>
  %p4 = math.fma %a5, %f, %a4 : vector<16xf32>
  %p3 = math.fma %p4, %f, %a3 : vector<16xf32>
  %p2 = math.fma %p3, %f, %a2 : vector<16xf32>
  %p1 = math.fma %p2, %f, %a1 : vector<16xf32>
  %p0 = math.fma %p1, %f, %a0 : vector<16xf32>
  %n = arith.bitcast %biased : vector<16xf32> to vector<16xi32>
  %exponent = arith.shli %n, %mantissa : vector<16xi32>
  %bits = arith.bitcast %p0 : vector<16xf32> to vector<16xi32>
  %scaled = arith.addi %bits, %exponent : vector<16xi32>
  %e = arith.bitcast %scaled : vector<16xi32> to vector<16xf32>
  return %e : vector<16xf32>
}
