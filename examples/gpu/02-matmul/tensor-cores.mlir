// Matrix product in 64x64 tiles of shared memory, a quarter of a tile a warp, on tensor cores. Needs: an NVIDIA GPU; N and K multiples of 8.
#shared = #gpu.address_space<workgroup>
!fragment_a = !gpu.mma_matrix<16x16xf16, "AOp">
!fragment_b = !gpu.mma_matrix<16x16xf16, "BOp">
!fragment_c = !gpu.mma_matrix<16x16xf32, "COp">
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @tile(%a: memref<?x?xf16>, %b: memref<?x?xf16>, %c: memref<?x?xf32>)
        workgroup(%a_tile : memref<64x40xf16, #shared> {llvm.align = 32 : i64}, %b_tile : memref<32x72xf16, #shared> {llvm.align = 32 : i64},
                  %c_tile : memref<64x68xf32, #shared> {llvm.align = 32 : i64})
        kernel attributes {gpu.known_block_size = array<i32: 128, 1, 1>} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c4 = arith.constant 4 : index
      %c8 = arith.constant 8 : index
      %c16 = arith.constant 16 : index
      %c32 = arith.constant 32 : index
      %c64 = arith.constant 64 : index
      %c128 = arith.constant 128 : index
      %c256 = arith.constant 256 : index
      %c4096 = arith.constant 4096 : index
      %zero = arith.constant 0.0 : f32
      %zeros = arith.constant dense<0.0> : vector<8xf16>
      %m = memref.dim %a, %c0 : memref<?x?xf16>
      %k = memref.dim %a, %c1 : memref<?x?xf16>
      %n = memref.dim %b, %c1 : memref<?x?xf16>
      %t = gpu.thread_id x
      %bx = gpu.block_id x
      %by = gpu.block_id y
      %top = arith.muli %by, %c64 : index
      %left = arith.muli %bx, %c64 : index
      // The warp's quarter: 32 rows and 32 columns.
      %warp = arith.divui %t, %c32 : index
      %warp_row = arith.divui %warp, %c2 : index
      %warp_column = arith.remui %warp, %c2 : index
      %row0 = arith.muli %warp_row, %c32 : index
      %row1 = arith.addi %row0, %c16 : index
      %column0 = arith.muli %warp_column, %c32 : index
      %column1 = arith.addi %column0, %c16 : index

      %none = gpu.subgroup_mma_constant_matrix %zero : !fragment_c
      %r00, %r01, %r10, %r11 = scf.for %step = %c0 to %k step %c32 iter_args(%s00 = %none, %s01 = %none, %s10 = %none, %s11 = %none)
          -> (!fragment_c, !fragment_c, !fragment_c, !fragment_c) {
        // 64 rows by 32 columns of a, eight elements an access.
        scf.for %e = %t to %c256 step %c128 {
          %r = arith.divui %e, %c4 : index
          %eighth = arith.remui %e, %c4 : index
          %l = arith.muli %eighth, %c8 : index
          %i = arith.addi %top, %r : index
          %j = arith.addi %step, %l : index
          %in_rows = arith.cmpi ult, %i, %m : index
          %in_columns = arith.cmpi ult, %j, %k : index
          %inside = arith.andi %in_rows, %in_columns : i1
          %v = scf.if %inside -> (vector<8xf16>) {
            %read = vector.load %a[%i, %j] {alignment = 16 : i64} : memref<?x?xf16>, vector<8xf16>
            scf.yield %read : vector<8xf16>
          } else {
            scf.yield %zeros : vector<8xf16>
          }
          vector.store %v, %a_tile[%r, %l] {alignment = 16 : i64} : memref<64x40xf16, #shared>, vector<8xf16>
        }
        // 32 rows by 64 columns of b.
        scf.for %e = %t to %c256 step %c128 {
          %r = arith.divui %e, %c8 : index
          %eighth = arith.remui %e, %c8 : index
          %l = arith.muli %eighth, %c8 : index
          %i = arith.addi %step, %r : index
          %j = arith.addi %left, %l : index
          %in_rows = arith.cmpi ult, %i, %k : index
          %in_columns = arith.cmpi ult, %j, %n : index
          %inside = arith.andi %in_rows, %in_columns : i1
          %v = scf.if %inside -> (vector<8xf16>) {
            %read = vector.load %b[%i, %j] {alignment = 16 : i64} : memref<?x?xf16>, vector<8xf16>
            scf.yield %read : vector<8xf16>
          } else {
            scf.yield %zeros : vector<8xf16>
          }
          vector.store %v, %b_tile[%r, %l] {alignment = 16 : i64} : memref<32x72xf16, #shared>, vector<8xf16>
        }
        gpu.barrier
        %p00, %p01, %p10, %p11 = scf.for %l = %c0 to %c32 step %c16 iter_args(%q00 = %s00, %q01 = %s01, %q10 = %s10, %q11 = %s11)
            -> (!fragment_c, !fragment_c, !fragment_c, !fragment_c) {
          %a0 = gpu.subgroup_mma_load_matrix %a_tile[%row0, %l] {leadDimension = 40 : index} : memref<64x40xf16, #shared> -> !fragment_a
          %a1 = gpu.subgroup_mma_load_matrix %a_tile[%row1, %l] {leadDimension = 40 : index} : memref<64x40xf16, #shared> -> !fragment_a
          %b0 = gpu.subgroup_mma_load_matrix %b_tile[%l, %column0] {leadDimension = 72 : index} : memref<32x72xf16, #shared> -> !fragment_b
          %b1 = gpu.subgroup_mma_load_matrix %b_tile[%l, %column1] {leadDimension = 72 : index} : memref<32x72xf16, #shared> -> !fragment_b
          %n00 = gpu.subgroup_mma_compute %a0, %b0, %q00 : !fragment_a, !fragment_b -> !fragment_c
          %n01 = gpu.subgroup_mma_compute %a0, %b1, %q01 : !fragment_a, !fragment_b -> !fragment_c
          %n10 = gpu.subgroup_mma_compute %a1, %b0, %q10 : !fragment_a, !fragment_b -> !fragment_c
          %n11 = gpu.subgroup_mma_compute %a1, %b1, %q11 : !fragment_a, !fragment_b -> !fragment_c
          scf.yield %n00, %n01, %n10, %n11 : !fragment_c, !fragment_c, !fragment_c, !fragment_c
        }
        gpu.barrier
        scf.yield %p00, %p01, %p10, %p11 : !fragment_c, !fragment_c, !fragment_c, !fragment_c
      }

      // Through shared memory, because a fragment goes out whole and the matrix may end within it.
      gpu.subgroup_mma_store_matrix %r00, %c_tile[%row0, %column0] {leadDimension = 68 : index} : !fragment_c, memref<64x68xf32, #shared>
      gpu.subgroup_mma_store_matrix %r01, %c_tile[%row0, %column1] {leadDimension = 68 : index} : !fragment_c, memref<64x68xf32, #shared>
      gpu.subgroup_mma_store_matrix %r10, %c_tile[%row1, %column0] {leadDimension = 68 : index} : !fragment_c, memref<64x68xf32, #shared>
      gpu.subgroup_mma_store_matrix %r11, %c_tile[%row1, %column1] {leadDimension = 68 : index} : !fragment_c, memref<64x68xf32, #shared>
      gpu.barrier
      scf.for %e = %t to %c4096 step %c128 {
        %r = arith.divui %e, %c64 : index
        %l = arith.remui %e, %c64 : index
        %i = arith.addi %top, %r : index
        %j = arith.addi %left, %l : index
        %in_rows = arith.cmpi ult, %i, %m : index
        %in_columns = arith.cmpi ult, %j, %n : index
        %inside = arith.andi %in_rows, %in_columns : i1
        scf.if %inside {
          %v = memref.load %c_tile[%r, %l] : memref<64x68xf32, #shared>
          memref.store %v, %c[%i, %j] : memref<?x?xf32>
        }
      }
      gpu.return
    }
  }

  func.func @matmul(%a: memref<?x?xf16>, %b: memref<?x?xf16>, %c: memref<?x?xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c8 = arith.constant 8 : index
    %c64 = arith.constant 64 : index
    %c128 = arith.constant 128 : index
    %m = memref.dim %a, %c0 : memref<?x?xf16>
    %k = memref.dim %a, %c1 : memref<?x?xf16>
    %n = memref.dim %b, %c1 : memref<?x?xf16>
    %rest_k = arith.remui %k, %c8 : index
    %rest_n = arith.remui %n, %c8 : index
    %rest = arith.addi %rest_k, %rest_n : index
    %fits = arith.cmpi eq, %rest, %c0 : index
    cf.assert %fits, "N and K must be multiples of 8"
    %down = arith.ceildivui %m, %c64 : index
    %across = arith.ceildivui %n, %c64 : index
    gpu.launch_func @kernels::@tile blocks in (%across, %down, %c1) threads in (%c128, %c1, %c1)
        args(%a : memref<?x?xf16>, %b : memref<?x?xf16>, %c : memref<?x?xf32>)
    return
  }
}
