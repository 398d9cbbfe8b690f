// GELU as linalg on tensors, the form torch-mlir emits. Needs: a CPU; fits problem.toml and kernelbench.py.
#vector = affine_map<(i) -> (i)>

func.func @gelu(%x: tensor<?xf32>) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %half = arith.constant 0.5 : f32
  %one = arith.constant 1.0 : f32
  %cubic = arith.constant 0.044715 : f32
  %root = arith.constant 0.7978845608 : f32
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %empty = tensor.empty(%n) : tensor<?xf32>
  %u = linalg.generic {indexing_maps = [#vector, #vector], iterator_types = ["parallel"]} ins(%x : tensor<?xf32>) outs(%empty : tensor<?xf32>) {
  ^bb0(%v: f32, %unused: f32):
    %square = arith.mulf %v, %v : f32
    %cube = arith.mulf %square, %v : f32
    %small = arith.mulf %cubic, %cube : f32
    %inner = arith.addf %v, %small : f32
    %0 = arith.mulf %root, %inner : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %t = linalg.tanh ins(%u : tensor<?xf32>) outs(%empty : tensor<?xf32>) -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [#vector, #vector, #vector], iterator_types = ["parallel"]} ins(%x, %t : tensor<?xf32>, tensor<?xf32>) outs(%empty : tensor<?xf32>) {
  ^bb0(%v: f32, %th: f32, %unused: f32):
    %raised = arith.addf %one, %th : f32
    %halved = arith.mulf %half, %v : f32
    %0 = arith.mulf %halved, %raised : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  return %y : tensor<?xf32>
}
