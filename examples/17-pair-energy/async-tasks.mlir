// Energies of pairs on two threads that take rows sixteen at a time, as they are free. Needs: a CPU with two cores, MLIR's async runtime.
// kinstr: pipeline=async-parallel-for{num-workers=2 min-task-size=16},async-to-async-runtime,func.func(async-runtime-ref-counting,async-runtime-ref-counting-opt),convert-async-to-llvm
// kinstr: threads=2
func.func @pair_energy(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %x, %c0 : memref<?xf32>

  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    func.call @row(%x, %y, %i) : (memref<?xf32>, memref<?xf32>, index) -> ()
  }
  return
}

// The energy of particle i with all before it, sixteen of them at a time.
func.func private @row(%x: memref<?xf32>, %y: memref<?xf32>, %i: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %zeros = arith.constant dense<0.0> : vector<16xf32>
  %ones = arith.constant dense<1.0> : vector<16xf32>
  %xi = memref.load %x[%i] : memref<?xf32>
  %xi16 = vector.broadcast %xi : f32 to vector<16xf32>
  %rest = arith.remui %i, %c16 : index
  %whole = arith.subi %i, %rest : index

  %lanes = scf.for %j = %c0 to %whole step %c16 iter_args(%s = %zeros) -> (vector<16xf32>) {
    %xj = vector.load %x[%j] : memref<?xf32>, vector<16xf32>
    %distance = arith.subf %xi16, %xj : vector<16xf32>
    %divisor = math.fma %distance, %distance, %ones : vector<16xf32>
    %energy = arith.divf %ones, %divisor : vector<16xf32>
    %next = arith.addf %s, %energy : vector<16xf32>
    scf.yield %next : vector<16xf32>
  }
  %most = vector.reduction <add>, %lanes : vector<16xf32> into f32
  %sum = scf.for %j = %whole to %i step %c1 iter_args(%s = %most) -> (f32) {
    %xj = memref.load %x[%j] : memref<?xf32>
    %distance = arith.subf %xi, %xj : f32
    %divisor = math.fma %distance, %distance, %one : f32
    %energy = arith.divf %one, %divisor : f32
    %next = arith.addf %s, %energy : f32
    scf.yield %next : f32
  }
  memref.store %sum, %y[%i] : memref<?xf32>
  return
}
