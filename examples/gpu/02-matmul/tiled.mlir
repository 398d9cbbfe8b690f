// Matrix product in 64x64 tiles of shared memory, 4x4 elements a thread, on the ordinary f32 units. Needs: an NVIDIA GPU.
// planted: tensor-cores-unused
#shared = #gpu.address_space<workgroup>
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @tile(%a: memref<?x?xf16>, %b: memref<?x?xf16>, %c: memref<?x?xf32>)
        workgroup(%a_tile : memref<16x68xf32, #shared> {llvm.align = 16 : i64}, %b_tile : memref<16x64xf32, #shared> {llvm.align = 16 : i64})
        kernel attributes {gpu.known_block_size = array<i32: 256, 1, 1>} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c4 = arith.constant 4 : index
      %c16 = arith.constant 16 : index
      %c64 = arith.constant 64 : index
      %c256 = arith.constant 256 : index
      %c1024 = arith.constant 1024 : index
      %zero = arith.constant 0.0 : f32
      %zeros = arith.constant dense<0.0> : vector<4xf32>
      %m = memref.dim %a, %c0 : memref<?x?xf16>
      %k = memref.dim %a, %c1 : memref<?x?xf16>
      %n = memref.dim %b, %c1 : memref<?x?xf16>
      %t = gpu.thread_id x
      %bx = gpu.block_id x
      %by = gpu.block_id y
      %top = arith.muli %by, %c64 : index
      %left = arith.muli %bx, %c64 : index
      %ty = arith.divui %t, %c16 : index
      %tx = arith.remui %t, %c16 : index
      %row = arith.muli %ty, %c4 : index
      %column = arith.muli %tx, %c4 : index

      %r0, %r1, %r2, %r3 = scf.for %step = %c0 to %k step %c16 iter_args(%s0 = %zeros, %s1 = %zeros, %s2 = %zeros, %s3 = %zeros)
          -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>) {
        // 64 rows by 16 columns of a, turned round so that four rows are one access below.
        scf.for %e = %t to %c1024 step %c256 {
          %r = arith.divui %e, %c16 : index
          %l = arith.remui %e, %c16 : index
          %i = arith.addi %top, %r : index
          %j = arith.addi %step, %l : index
          %in_rows = arith.cmpi ult, %i, %m : index
          %in_columns = arith.cmpi ult, %j, %k : index
          %inside = arith.andi %in_rows, %in_columns : i1
          %v = scf.if %inside -> (f32) {
            %half = memref.load %a[%i, %j] : memref<?x?xf16>
            %single = arith.extf %half : f16 to f32
            scf.yield %single : f32
          } else {
            scf.yield %zero : f32
          }
          memref.store %v, %a_tile[%l, %r] : memref<16x68xf32, #shared>
        }
        // 16 rows by 64 columns of b.
        scf.for %e = %t to %c1024 step %c256 {
          %l = arith.divui %e, %c64 : index
          %r = arith.remui %e, %c64 : index
          %i = arith.addi %step, %l : index
          %j = arith.addi %left, %r : index
          %in_rows = arith.cmpi ult, %i, %k : index
          %in_columns = arith.cmpi ult, %j, %n : index
          %inside = arith.andi %in_rows, %in_columns : i1
          %v = scf.if %inside -> (f32) {
            %half = memref.load %b[%i, %j] : memref<?x?xf16>
            %single = arith.extf %half : f16 to f32
            scf.yield %single : f32
          } else {
            scf.yield %zero : f32
          }
          memref.store %v, %b_tile[%l, %r] : memref<16x64xf32, #shared>
        }
        gpu.barrier
        %p0, %p1, %p2, %p3 = scf.for %l = %c0 to %c16 step %c1 iter_args(%q0 = %s0, %q1 = %s1, %q2 = %s2, %q3 = %s3)
            -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>) {
          %x = vector.load %a_tile[%l, %row] {alignment = 16 : i64} : memref<16x68xf32, #shared>, vector<4xf32>
          %y = vector.load %b_tile[%l, %column] {alignment = 16 : i64} : memref<16x64xf32, #shared>, vector<4xf32>
          %x0 = vector.extract %x[0] : f32 from vector<4xf32>
          %x1 = vector.extract %x[1] : f32 from vector<4xf32>
          %x2 = vector.extract %x[2] : f32 from vector<4xf32>
          %x3 = vector.extract %x[3] : f32 from vector<4xf32>
          %v0 = vector.broadcast %x0 : f32 to vector<4xf32>
          %v1 = vector.broadcast %x1 : f32 to vector<4xf32>
          %v2 = vector.broadcast %x2 : f32 to vector<4xf32>
          %v3 = vector.broadcast %x3 : f32 to vector<4xf32>
          %n0 = vector.fma %v0, %y, %q0 : vector<4xf32>
          %n1 = vector.fma %v1, %y, %q1 : vector<4xf32>
          %n2 = vector.fma %v2, %y, %q2 : vector<4xf32>
          %n3 = vector.fma %v3, %y, %q3 : vector<4xf32>
          scf.yield %n0, %n1, %n2, %n3 : vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>
        }
        gpu.barrier
        scf.yield %p0, %p1, %p2, %p3 : vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>
      }

      %i0 = arith.addi %top, %row : index
      %i1 = arith.addi %i0, %c1 : index
      %i2 = arith.addi %i1, %c1 : index
      %i3 = arith.addi %i2, %c1 : index
      %j = arith.addi %left, %column : index
      func.call @put(%r0, %c, %i0, %j) : (vector<4xf32>, memref<?x?xf32>, index, index) -> ()
      func.call @put(%r1, %c, %i1, %j) : (vector<4xf32>, memref<?x?xf32>, index, index) -> ()
      func.call @put(%r2, %c, %i2, %j) : (vector<4xf32>, memref<?x?xf32>, index, index) -> ()
      func.call @put(%r3, %c, %i3, %j) : (vector<4xf32>, memref<?x?xf32>, index, index) -> ()
      gpu.return
    }

    // Four elements of row i from column j on, as far as they are inside.
    func.func private @put(%v: vector<4xf32>, %c: memref<?x?xf32>, %i: index, %j: index) {
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

  func.func @matmul(%a: memref<?x?xf16>, %b: memref<?x?xf16>, %c: memref<?x?xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    %c256 = arith.constant 256 : index
    %m = memref.dim %c, %c0 : memref<?x?xf32>
    %n = memref.dim %c, %c1 : memref<?x?xf32>
    %down = arith.ceildivui %m, %c64 : index
    %across = arith.ceildivui %n, %c64 : index
    gpu.launch_func @kernels::@tile blocks in (%across, %down, %c1) threads in (%c256, %c1, %c1)
        args(%a : memref<?x?xf16>, %b : memref<?x?xf16>, %c : memref<?x?xf32>)
    return
  }
}
