// Softmax over rows in three separate sweeps over the matrix, each of them vectorised. Needs: a CPU; N a multiple of 16.
// planted: redundant-passes
func.func @softmax(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %ninf = arith.constant 0xFF800000 : f32
  %one = arith.constant 1.0 : f32
  %lowest = arith.constant dense<0xFF800000> : vector<16xf32>
  %zeros = arith.constant dense<0.0> : vector<16xf32>
  %rows = memref.dim %x, %c0 : memref<?x?xf32>
  %columns = memref.dim %x, %c1 : memref<?x?xf32>
  %rest = arith.remui %columns, %c16 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "the row length must be a multiple of 16"
  %max = memref.alloc(%rows) : memref<?xf32>
  %sum = memref.alloc(%rows) : memref<?xf32>

  // First sweep: the maximum of each row.
  scf.for %i = %c0 to %rows step %c1 {
    %maxima = scf.for %j = %c0 to %columns step %c16 iter_args(%m = %lowest) -> (vector<16xf32>) {
      %v = vector.transfer_read %x[%i, %j], %ninf {in_bounds = [true]} : memref<?x?xf32>, vector<16xf32>
      %next = arith.maximumf %m, %v fastmath<nnan,nsz> : vector<16xf32>
      scf.yield %next : vector<16xf32>
    }
    %most = vector.reduction <maximumf>, %maxima : vector<16xf32> into f32
    memref.store %most, %max[%i] : memref<?xf32>
  }

  // Second sweep: the exponentials, kept in y, and their sums.
  scf.for %i = %c0 to %rows step %c1 {
    %most = memref.load %max[%i] : memref<?xf32>
    %shift = vector.broadcast %most : f32 to vector<16xf32>
    %sums = scf.for %j = %c0 to %columns step %c16 iter_args(%s = %zeros) -> (vector<16xf32>) {
      %v = vector.transfer_read %x[%i, %j], %ninf {in_bounds = [true]} : memref<?x?xf32>, vector<16xf32>
      %d = arith.subf %v, %shift : vector<16xf32>
      %e = func.call @exp(%d) : (vector<16xf32>) -> vector<16xf32>
      vector.transfer_write %e, %y[%i, %j] {in_bounds = [true]} : vector<16xf32>, memref<?x?xf32>
      %next = arith.addf %s, %e : vector<16xf32>
      scf.yield %next : vector<16xf32>
    }
    %total = vector.reduction <add>, %sums : vector<16xf32> into f32
    memref.store %total, %sum[%i] : memref<?xf32>
  }

  // Third sweep: divide each row by its sum.
  scf.for %i = %c0 to %rows step %c1 {
    %total = memref.load %sum[%i] : memref<?xf32>
    %inverse = arith.divf %one, %total : f32
    %scale = vector.broadcast %inverse : f32 to vector<16xf32>
    scf.for %j = %c0 to %columns step %c16 {
      %e = vector.transfer_read %y[%i, %j], %ninf {in_bounds = [true]} : memref<?x?xf32>, vector<16xf32>
      %p = arith.mulf %e, %scale : vector<16xf32>
      vector.transfer_write %p, %y[%i, %j] {in_bounds = [true]} : vector<16xf32>, memref<?x?xf32>
    }
  }

  memref.dealloc %max : memref<?xf32>
  memref.dealloc %sum : memref<?xf32>
  return
}

// exp(t) for t <= 0: 2^n through the exponent bits times a polynomial for 2^f on [-0.5, 0.5]; relative error under 3e-7.
func.func private @exp(%t: vector<16xf32>) -> vector<16xf32> {
  %least = arith.constant dense<-87.0> : vector<16xf32>
  %log2e = arith.constant dense<1.44269504> : vector<16xf32>
  %round = arith.constant dense<12582912.0> : vector<16xf32>
  %a5 = arith.constant dense<1.32187e-3> : vector<16xf32>
  %a4 = arith.constant dense<9.6717e-3> : vector<16xf32>
  %a3 = arith.constant dense<5.550893e-2> : vector<16xf32>
  %a2 = arith.constant dense<2.4022238e-1> : vector<16xf32>
  %a1 = arith.constant dense<6.9314686e-1> : vector<16xf32>
  %a0 = arith.constant dense<1.0> : vector<16xf32>
  %mantissa = arith.constant dense<23> : vector<16xi32>
  %u = arith.maximumf %t, %least fastmath<nnan,nsz> : vector<16xf32>
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
