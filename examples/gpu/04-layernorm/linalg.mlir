// Layer norm as linalg on tensors, whose sums may be taken in any order. Needs: an NVIDIA GPU.
#matrix = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
#column = affine_map<(i, j) -> (j)>

func.func @layernorm(%x: tensor<?x?xf32>, %gain: tensor<?xf32>, %bias: tensor<?xf32>) -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %rows = tensor.dim %x, %c0 : tensor<?x?xf32>
  %columns = tensor.dim %x, %c1 : tensor<?x?xf32>
  %count_i64 = arith.index_cast %columns : index to i64
  %count = arith.sitofp %count_i64 : i64 to f32
  %per_row = tensor.empty(%rows) : tensor<?xf32>
  %per_element = tensor.empty(%rows, %columns) : tensor<?x?xf32>
  %no_sum = linalg.fill ins(%zero : f32) outs(%per_row : tensor<?xf32>) -> tensor<?xf32>

  %sum = linalg.generic {indexing_maps = [#matrix, #row], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<?x?xf32>) outs(%no_sum : tensor<?xf32>) {
  ^bb0(%v: f32, %s: f32):
    %0 = arith.addf %v, %s fastmath<reassoc> : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %centred = linalg.generic {indexing_maps = [#matrix, #row, #matrix], iterator_types = ["parallel", "parallel"]} ins(%x, %sum : tensor<?x?xf32>, tensor<?xf32>) outs(%per_element : tensor<?x?xf32>) {
  ^bb0(%v: f32, %s: f32, %unused: f32):
    %mean = arith.divf %s, %count : f32
    %0 = arith.subf %v, %mean : f32
    linalg.yield %0 : f32
  } -> tensor<?x?xf32>
  %squares = linalg.generic {indexing_maps = [#matrix, #row], iterator_types = ["parallel", "reduction"]} ins(%centred : tensor<?x?xf32>) outs(%no_sum : tensor<?xf32>) {
  ^bb0(%d: f32, %s: f32):
    %square = arith.mulf %d, %d : f32
    %0 = arith.addf %square, %s fastmath<reassoc> : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %scale = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]} ins(%squares : tensor<?xf32>) outs(%per_row : tensor<?xf32>) {
  ^bb0(%s: f32, %unused: f32):
    %variance = arith.divf %s, %count : f32
    %guarded = arith.addf %variance, %epsilon : f32
    %0 = math.rsqrt %guarded : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [#matrix, #row, #column, #column, #matrix], iterator_types = ["parallel", "parallel"]} ins(%centred, %scale, %gain, %bias : tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) outs(%per_element : tensor<?x?xf32>) {
  ^bb0(%d: f32, %r: f32, %g: f32, %b: f32, %unused: f32):
    %normal = arith.mulf %d, %r : f32
    %scaled = arith.mulf %normal, %g : f32
    %0 = arith.addf %scaled, %b : f32
    linalg.yield %0 : f32
  } -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}
