// GELU that calls the C library's tanhf once for every element. Needs: a CPU.
// planted: call-overhead
func.func private @tanhf(f32) -> f32

func.func @gelu(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %half = arith.constant 0.5 : f32
  %one = arith.constant 1.0 : f32
  %cubic = arith.constant 0.044715 : f32
  %root = arith.constant 0.7978845608 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>

  scf.for %i = %c0 to %n step %c1 {
    %v = memref.load %x[%i] : memref<?xf32>
    %square = arith.mulf %v, %v : f32
    %cube = arith.mulf %square, %v : f32
    %small = arith.mulf %cubic, %cube : f32
    %inner = arith.addf %v, %small : f32
    %u = arith.mulf %root, %inner : f32
    %t = func.call @tanhf(%u) : (f32) -> f32
    %raised = arith.addf %one, %t : f32
    %halved = arith.mulf %half, %v : f32
    %g = arith.mulf %halved, %raised : f32
    memref.store %g, %y[%i] : memref<?xf32>
  }
  return
}
