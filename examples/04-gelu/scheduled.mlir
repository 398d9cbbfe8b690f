// GELU as one linalg op on tensors, tiled and vectorised by a transform-dialect schedule. Needs: a CPU.
#vector = affine_map<(i) -> (i)>

module attributes {transform.with_named_sequence} {
  func.func @gelu(%x: tensor<?xf32>) -> tensor<?xf32> {
    %c0 = arith.constant 0 : index
    %half = arith.constant 0.5 : f32
    %one = arith.constant 1.0 : f32
    %cubic = arith.constant 0.044715 : f32
    %root = arith.constant 0.7978845608 : f32
    %n = tensor.dim %x, %c0 : tensor<?xf32>
    %empty = tensor.empty(%n) : tensor<?xf32>
    %y = linalg.generic {indexing_maps = [#vector, #vector], iterator_types = ["parallel"]} ins(%x : tensor<?xf32>) outs(%empty : tensor<?xf32>) {
    ^bb0(%v: f32, %unused: f32):
      %square = arith.mulf %v, %v : f32
      %cube = arith.mulf %square, %v : f32
      %small = arith.mulf %cubic, %cube : f32
      %inner = arith.addf %v, %small : f32
      %u = arith.mulf %root, %inner : f32
      %t = math.tanh %u : f32
      %raised = arith.addf %one, %t : f32
      %halved = arith.mulf %half, %v : f32
      %g = arith.mulf %halved, %raised : f32
      linalg.yield %g : f32
    } -> tensor<?xf32>
    return %y : tensor<?xf32>
  }

  transform.named_sequence @__transform_main(%module: !transform.any_op {transform.readonly}) {
    %gelu = transform.structured.match ops{["linalg.generic"]} in %module : (!transform.any_op) -> !transform.any_op
    %tile, %loop = transform.structured.tile_using_for %gelu tile_sizes [16] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.structured.vectorize %tile vector_sizes [16] : !transform.any_op
    transform.yield
  }
}
