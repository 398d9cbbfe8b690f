// Layer norm whose two sums run in strict order, one scalar add waiting for the last. Needs: a CPU.
// planted: unvectorised
func.func @layernorm(%x: memref<?x?xf32>, %gain: memref<?xf32>, %bias: memref<?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %rows = memref.dim %x, %c0 : memref<?x?xf32>
  %columns = memref.dim %x, %c1 : memref<?x?xf32>
  %count_i32 = arith.index_cast %columns : index to i32
  %count = arith.sitofp %count_i32 : i32 to f32

  affine.for %i = 0 to %rows {
    %sum = affine.for %j = 0 to %columns iter_args(%s = %zero) -> (f32) {
      %v = affine.load %x[%i, %j] : memref<?x?xf32>
      %next = arith.addf %s, %v : f32
      affine.yield %next : f32
    }
    %mean = arith.divf %sum, %count : f32
    %squares = affine.for %j = 0 to %columns iter_args(%s = %zero) -> (f32) {
      %v = affine.load %x[%i, %j] : memref<?x?xf32>
      %d = arith.subf %v, %mean : f32
      %square = arith.mulf %d, %d : f32
      %next = arith.addf %s, %square : f32
      affine.yield %next : f32
    }
    %variance = arith.divf %squares, %count : f32
    %guarded = arith.addf %variance, %epsilon : f32
    %scale = math.rsqrt %guarded : f32
    affine.for %j = 0 to %columns {
      %v = affine.load %x[%i, %j] : memref<?x?xf32>
      %g = affine.load %gain[%j] : memref<?xf32>
      %b = affine.load %bias[%j] : memref<?xf32>
      %d = arith.subf %v, %mean : f32
      %normal = arith.mulf %d, %scale : f32
      %scaled = arith.mulf %normal, %g : f32
      %shifted = arith.addf %scaled, %b : f32
      affine.store %shifted, %y[%i, %j] : memref<?x?xf32>
    }
  }
  return
}
