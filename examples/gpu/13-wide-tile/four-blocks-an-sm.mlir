// Matrix product, 8x8 elements a thread, bound to four blocks an SM: 64 registers a thread, and 64 sums alone fill them. Needs: an NVIDIA GPU.
// planted: register-spill
#shared = #gpu.address_space<workgroup>
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @tile(%a: memref<?x?xf32>, %b: memref<?x?xf32>, %c: memref<?x?xf32>)
        workgroup(%a_tile : memref<8x132xf32, #shared> {llvm.align = 16 : i64}, %b_tile : memref<8x128xf32, #shared> {llvm.align = 16 : i64})
        kernel attributes {gpu.known_block_size = array<i32: 256, 1, 1>, nvvm.maxntid = array<i32: 256, 1, 1>, nvvm.minctasm = 4 : i32} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c4 = arith.constant 4 : index
      %c8 = arith.constant 8 : index
      %c16 = arith.constant 16 : index
      %c64 = arith.constant 64 : index
      %c128 = arith.constant 128 : index
      %c256 = arith.constant 256 : index
      %c1024 = arith.constant 1024 : index
      %zero = arith.constant 0.0 : f32
      %zeros = arith.constant dense<0.0> : vector<8xf32>
      %m = memref.dim %a, %c0 : memref<?x?xf32>
      %k = memref.dim %a, %c1 : memref<?x?xf32>
      %n = memref.dim %b, %c1 : memref<?x?xf32>
      %t = gpu.thread_id x
      %bx = gpu.block_id x
      %by = gpu.block_id y
      %top = arith.muli %by, %c128 : index
      %left = arith.muli %bx, %c128 : index
      %ty = arith.divui %t, %c16 : index
      %tx = arith.remui %t, %c16 : index
      // A thread's eight rows and eight columns are two groups of four each, 64 apart, so that neighbours read neighbouring groups.
      %row = arith.muli %ty, %c4 : index
      %far_row = arith.addi %row, %c64 : index
      %column = arith.muli %tx, %c4 : index
      %far_column = arith.addi %column, %c64 : index

      %r0, %r1, %r2, %r3, %r4, %r5, %r6, %r7 = scf.for %step = %c0 to %k step %c8
          iter_args(%s0 = %zeros, %s1 = %zeros, %s2 = %zeros, %s3 = %zeros, %s4 = %zeros, %s5 = %zeros, %s6 = %zeros, %s7 = %zeros)
          -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>) {
        // 128 rows by 8 columns of a, turned round.
        scf.for %e = %t to %c1024 step %c256 {
          %r = arith.divui %e, %c8 : index
          %l = arith.remui %e, %c8 : index
          %i = arith.addi %top, %r : index
          %j = arith.addi %step, %l : index
          %in_rows = arith.cmpi ult, %i, %m : index
          %in_columns = arith.cmpi ult, %j, %k : index
          %inside = arith.andi %in_rows, %in_columns : i1
          %v = scf.if %inside -> (f32) {
            %read = memref.load %a[%i, %j] : memref<?x?xf32>
            scf.yield %read : f32
          } else {
            scf.yield %zero : f32
          }
          memref.store %v, %a_tile[%l, %r] : memref<8x132xf32, #shared>
        }
        // 8 rows by 128 columns of b.
        scf.for %e = %t to %c1024 step %c256 {
          %l = arith.divui %e, %c128 : index
          %r = arith.remui %e, %c128 : index
          %i = arith.addi %step, %l : index
          %j = arith.addi %left, %r : index
          %in_rows = arith.cmpi ult, %i, %k : index
          %in_columns = arith.cmpi ult, %j, %n : index
          %inside = arith.andi %in_rows, %in_columns : i1
          %v = scf.if %inside -> (f32) {
            %read = memref.load %b[%i, %j] : memref<?x?xf32>
            scf.yield %read : f32
          } else {
            scf.yield %zero : f32
          }
          memref.store %v, %b_tile[%l, %r] : memref<8x128xf32, #shared>
        }
        gpu.barrier
        %p0, %p1, %p2, %p3, %p4, %p5, %p6, %p7 = scf.for %l = %c0 to %c8 step %c1
            iter_args(%q0 = %s0, %q1 = %s1, %q2 = %s2, %q3 = %s3, %q4 = %s4, %q5 = %s5, %q6 = %s6, %q7 = %s7)
            -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>) {
          %x_near = vector.load %a_tile[%l, %row] {alignment = 16 : i64} : memref<8x132xf32, #shared>, vector<4xf32>
          %x_far = vector.load %a_tile[%l, %far_row] {alignment = 16 : i64} : memref<8x132xf32, #shared>, vector<4xf32>
          %y_near = vector.load %b_tile[%l, %column] {alignment = 16 : i64} : memref<8x128xf32, #shared>, vector<4xf32>
          %y_far = vector.load %b_tile[%l, %far_column] {alignment = 16 : i64} : memref<8x128xf32, #shared>, vector<4xf32>
          %y = vector.shuffle %y_near, %y_far [0, 1, 2, 3, 4, 5, 6, 7] : vector<4xf32>, vector<4xf32>
          %x0 = vector.extract %x_near[0] : f32 from vector<4xf32>
          %v0 = vector.broadcast %x0 : f32 to vector<8xf32>
          %n0 = vector.fma %v0, %y, %q0 : vector<8xf32>
          %x1 = vector.extract %x_near[1] : f32 from vector<4xf32>
          %v1 = vector.broadcast %x1 : f32 to vector<8xf32>
          %n1 = vector.fma %v1, %y, %q1 : vector<8xf32>
          %x2 = vector.extract %x_near[2] : f32 from vector<4xf32>
          %v2 = vector.broadcast %x2 : f32 to vector<8xf32>
          %n2 = vector.fma %v2, %y, %q2 : vector<8xf32>
          %x3 = vector.extract %x_near[3] : f32 from vector<4xf32>
          %v3 = vector.broadcast %x3 : f32 to vector<8xf32>
          %n3 = vector.fma %v3, %y, %q3 : vector<8xf32>
          %x4 = vector.extract %x_far[0] : f32 from vector<4xf32>
          %v4 = vector.broadcast %x4 : f32 to vector<8xf32>
          %n4 = vector.fma %v4, %y, %q4 : vector<8xf32>
          %x5 = vector.extract %x_far[1] : f32 from vector<4xf32>
          %v5 = vector.broadcast %x5 : f32 to vector<8xf32>
          %n5 = vector.fma %v5, %y, %q5 : vector<8xf32>
          %x6 = vector.extract %x_far[2] : f32 from vector<4xf32>
          %v6 = vector.broadcast %x6 : f32 to vector<8xf32>
          %n6 = vector.fma %v6, %y, %q6 : vector<8xf32>
          %x7 = vector.extract %x_far[3] : f32 from vector<4xf32>
          %v7 = vector.broadcast %x7 : f32 to vector<8xf32>
          %n7 = vector.fma %v7, %y, %q7 : vector<8xf32>
          scf.yield %n0, %n1, %n2, %n3, %n4, %n5, %n6, %n7
              : vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>
        }
        gpu.barrier
        scf.yield %p0, %p1, %p2, %p3, %p4, %p5, %p6, %p7
            : vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>
      }

      %j = arith.addi %left, %column : index
      %far_j = arith.addi %left, %far_column : index
      %i0 = arith.addi %top, %row : index
      func.call @put(%r0, %c, %i0, %j, %far_j) : (vector<8xf32>, memref<?x?xf32>, index, index, index) -> ()
      %i1 = arith.addi %i0, %c1 : index
      func.call @put(%r1, %c, %i1, %j, %far_j) : (vector<8xf32>, memref<?x?xf32>, index, index, index) -> ()
      %i2 = arith.addi %i1, %c1 : index
      func.call @put(%r2, %c, %i2, %j, %far_j) : (vector<8xf32>, memref<?x?xf32>, index, index, index) -> ()
      %i3 = arith.addi %i2, %c1 : index
      func.call @put(%r3, %c, %i3, %j, %far_j) : (vector<8xf32>, memref<?x?xf32>, index, index, index) -> ()
      %i4 = arith.addi %top, %far_row : index
      func.call @put(%r4, %c, %i4, %j, %far_j) : (vector<8xf32>, memref<?x?xf32>, index, index, index) -> ()
      %i5 = arith.addi %i4, %c1 : index
      func.call @put(%r5, %c, %i5, %j, %far_j) : (vector<8xf32>, memref<?x?xf32>, index, index, index) -> ()
      %i6 = arith.addi %i5, %c1 : index
      func.call @put(%r6, %c, %i6, %j, %far_j) : (vector<8xf32>, memref<?x?xf32>, index, index, index) -> ()
      %i7 = arith.addi %i6, %c1 : index
      func.call @put(%r7, %c, %i7, %j, %far_j) : (vector<8xf32>, memref<?x?xf32>, index, index, index) -> ()
      gpu.return
    }

    // Row i: four elements from column j on and four from another column on, as far as they are inside.
    func.func private @put(%v: vector<8xf32>, %c: memref<?x?xf32>, %i: index, %j: index, %far_j: index) {
      %near = vector.shuffle %v, %v [0, 1, 2, 3] : vector<8xf32>, vector<8xf32>
      %far = vector.shuffle %v, %v [4, 5, 6, 7] : vector<8xf32>, vector<8xf32>
      func.call @put_four(%near, %c, %i, %j) : (vector<4xf32>, memref<?x?xf32>, index, index) -> ()
      func.call @put_four(%far, %c, %i, %far_j) : (vector<4xf32>, memref<?x?xf32>, index, index) -> ()
      return
    }

    func.func private @put_four(%v: vector<4xf32>, %c: memref<?x?xf32>, %i: index, %j: index) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c3 = arith.constant 3 : index
      %m = memref.dim %c, %c0 : memref<?x?xf32>
      %n = memref.dim %c, %c1 : memref<?x?xf32>
      %in_rows = arith.cmpi ult, %i, %m : index
      scf.if %in_rows {
        %v0 = vector.extract %v[0] : f32 from vector<4xf32>
        %v1 = vector.extract %v[1] : f32 from vector<4xf32>
        %v2 = vector.extract %v[2] : f32 from vector<4xf32>
        %v3 = vector.extract %v[3] : f32 from vector<4xf32>
        %j1 = arith.addi %j, %c1 : index
        %j2 = arith.addi %j, %c2 : index
        %j3 = arith.addi %j, %c3 : index
        %in0 = arith.cmpi ult, %j, %n : index
        %in1 = arith.cmpi ult, %j1, %n : index
        %in2 = arith.cmpi ult, %j2, %n : index
        %in3 = arith.cmpi ult, %j3, %n : index
        scf.if %in0 {
          memref.store %v0, %c[%i, %j] : memref<?x?xf32>
        }
        scf.if %in1 {
          memref.store %v1, %c[%i, %j1] : memref<?x?xf32>
        }
        scf.if %in2 {
          memref.store %v2, %c[%i, %j2] : memref<?x?xf32>
        }
        scf.if %in3 {
          memref.store %v3, %c[%i, %j3] : memref<?x?xf32>
        }
      }
      return
    }
  }

  func.func @matmul(%a: memref<?x?xf32>, %b: memref<?x?xf32>, %c: memref<?x?xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c128 = arith.constant 128 : index
    %c256 = arith.constant 256 : index
    %m = memref.dim %c, %c0 : memref<?x?xf32>
    %n = memref.dim %c, %c1 : memref<?x?xf32>
    %down = arith.ceildivui %m, %c128 : index
    %across = arith.ceildivui %n, %c128 : index
    gpu.launch_func @kernels::@tile blocks in (%across, %down, %c1) threads in (%c256, %c1, %c1)
        args(%a : memref<?x?xf32>, %b : memref<?x?xf32>, %c : memref<?x?xf32>)
    return
  }
}
