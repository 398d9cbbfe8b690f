// Softmax as linalg on tensors: six kernels, sums in order. Needs: an NVIDIA GPU.
#matrix = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>

func.func @softmax(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %rows = tensor.dim %x, %c0 : tensor<?x?xf32>
  %columns = tensor.dim %x, %c1 : tensor<?x?xf32>
  %per_row = tensor.empty(%rows) : tensor<?xf32>
  %per_element = tensor.empty(%rows, %columns) : tensor<?x?xf32>

  %no_max = linalg.fill ins(%lowest : f32) outs(%per_row : tensor<?xf32>) -> tensor<?xf32>
  %max = linalg.generic {indexing_maps = [#matrix, #row], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<?x?xf32>) outs(%no_max : tensor<?xf32>) {
  ^bb0(%v: f32, %m: f32):
    %0 = arith.maximumf %v, %m : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %shifted = linalg.generic {indexing_maps = [#matrix, #row, #matrix], iterator_types = ["parallel", "parallel"]} ins(%x, %max : tensor<?x?xf32>, tensor<?xf32>) outs(%per_element : tensor<?x?xf32>) {
  ^bb0(%v: f32, %m: f32, %unused: f32):
    %0 = arith.subf %v, %m : f32
    linalg.yield %0 : f32
  } -> tensor<?x?xf32>
  %exp = linalg.exp ins(%shifted : tensor<?x?xf32>) outs(%per_element : tensor<?x?xf32>) -> tensor<?x?xf32>
  %no_sum = linalg.fill ins(%zero : f32) outs(%per_row : tensor<?xf32>) -> tensor<?xf32>
  %sum = linalg.generic {indexing_maps = [#matrix, #row], iterator_types = ["parallel", "reduction"]} ins(%exp : tensor<?x?xf32>) outs(%no_sum : tensor<?xf32>) {
  ^bb0(%e: f32, %s: f32):
    %0 = arith.addf %e, %s : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [#matrix, #row, #matrix], iterator_types = ["parallel", "parallel"]} ins(%exp, %sum : tensor<?x?xf32>, tensor<?xf32>) outs(%per_element : tensor<?x?xf32>) {
  ^bb0(%e: f32, %s: f32, %unused: f32):
    %0 = arith.divf %e, %s : f32
    linalg.yield %0 : f32
  } -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}
