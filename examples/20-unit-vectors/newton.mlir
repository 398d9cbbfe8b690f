// Unit vectors without the divider: the inverse root is guessed from the bits and refined three times. Needs: a CPU.
func.func @unit_vectors(%v: memref<3x?xf32>, %u: memref<3x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %n = memref.dim %v, %c1 : memref<3x?xf32>

  scf.for %i = %c0 to %n step %c1 {
    %x = memref.load %v[%c0, %i] : memref<3x?xf32>
    %y = memref.load %v[%c1, %i] : memref<3x?xf32>
    %z = memref.load %v[%c2, %i] : memref<3x?xf32>
    %xx = arith.mulf %x, %x : f32
    %xy = math.fma %y, %y, %xx : f32
    %square = math.fma %z, %z, %xy : f32
    %inverse = func.call @inverse_root(%square) : (f32) -> f32
    %ux = arith.mulf %x, %inverse : f32
    %uy = arith.mulf %y, %inverse : f32
    %uz = arith.mulf %z, %inverse : f32
    memref.store %ux, %u[%c0, %i] : memref<3x?xf32>
    memref.store %uy, %u[%c1, %i] : memref<3x?xf32>
    memref.store %uz, %u[%c2, %i] : memref<3x?xf32>
  }
  return
}

// 1 / sqrt(s) for normal s: half the exponent gives 3 %, and each Newton step squares the error.
func.func private @inverse_root(%s: f32) -> f32 {
  %one = arith.constant 1 : i32
  %magic = arith.constant 0x5f3759df : i32
  %half = arith.constant -0.5 : f32
  %three_halves = arith.constant 1.5 : f32
  %bits = arith.bitcast %s : f32 to i32
  %halved = arith.shrsi %bits, %one : i32
  %guessed = arith.subi %magic, %halved : i32
  %r0 = arith.bitcast %guessed : i32 to f32
  %minus_half = arith.mulf %s, %half : f32
  %r1 = func.call @newton(%r0, %minus_half, %three_halves) : (f32, f32, f32) -> f32
  %r2 = func.call @newton(%r1, %minus_half, %three_halves) : (f32, f32, f32) -> f32
  %r3 = func.call @newton(%r2, %minus_half, %three_halves) : (f32, f32, f32) -> f32
  return %r3 : f32
}

func.func private @newton(%r: f32, %minus_half: f32, %three_halves: f32) -> f32 {
  %rr = arith.mulf %r, %r : f32
  %factor = math.fma %minus_half, %rr, %three_halves : f32
  %better = arith.mulf %r, %factor : f32
  return %better : f32
}
