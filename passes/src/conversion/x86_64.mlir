// How a probe records on x86-64. Layout: trace/src/layout.rs. UNIT_BYTES is put in by x86_64.rs.

llvm.mlir.global external @__kinstr_state() {addr_space = 0 : i32, alignment = 8 : i64} : !llvm.ptr {
  %null = llvm.mlir.zero : !llvm.ptr
  llvm.return %null : !llvm.ptr
}

// Takes what is recorded while the host has set no state: null records nothing and harms nothing.
llvm.mlir.global internal @__kinstr_sink() {addr_space = 0 : i32, alignment = 64 : i64} : !llvm.array<UNIT_BYTES x i8> {
  %zero = llvm.mlir.zero : !llvm.array<UNIT_BYTES x i8>
  llvm.return %zero : !llvm.array<UNIT_BYTES x i8>
}

llvm.func internal @__kinstr_get_unit() -> !llvm.ptr attributes {no_inline} {
  %where = llvm.mlir.addressof @__kinstr_state : !llvm.ptr
  %state = llvm.load %where : !llvm.ptr -> !llvm.ptr
  %null = llvm.mlir.zero : !llvm.ptr
  %off = llvm.icmp "eq" %state, %null : !llvm.ptr
  llvm.cond_br %off, ^sink, ^attach
^sink:
  %sink = llvm.mlir.addressof @__kinstr_sink : !llvm.ptr
  llvm.return %sink : !llvm.ptr
^attach:
  %slot = llvm.getelementptr %state[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %function = llvm.load %slot : !llvm.ptr -> !llvm.ptr
  %unit = llvm.call %function(%state) : !llvm.ptr, (!llvm.ptr) -> !llvm.ptr
  llvm.return %unit : !llvm.ptr
}

// rdtscp waits for what came before, lfence keeps what comes after; the memory clobber does so for the compiler.
llvm.func internal @__kinstr_read_clock() -> i64 attributes {always_inline} {
  %ticks = llvm.inline_asm has_side_effects "rdtscp\0Alfence\0Ashlq $$32, %rdx\0Aorq %rdx, %rax", "={rax},~{rdx},~{rcx},~{memory},~{dirflag},~{fpsr},~{flags}" : () -> i64
  llvm.return %ticks : i64
}

llvm.func internal @__kinstr_record_interval(%unit: !llvm.ptr, %offset: i64, %begin: i64, %end: i64) attributes {always_inline} {
  %one = llvm.mlir.constant(1 : i64) : i64
  %length = llvm.sub %end, %begin : i64
  %count_p = llvm.getelementptr %unit[%offset] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %sum_p = llvm.getelementptr %count_p[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %min_p = llvm.getelementptr %count_p[16] : (!llvm.ptr) -> !llvm.ptr, i8
  %max_p = llvm.getelementptr %count_p[24] : (!llvm.ptr) -> !llvm.ptr, i8
  %count = llvm.load %count_p : !llvm.ptr -> i64
  %sum = llvm.load %sum_p : !llvm.ptr -> i64
  %min = llvm.load %min_p : !llvm.ptr -> i64
  %max = llvm.load %max_p : !llvm.ptr -> i64
  %count_1 = llvm.add %count, %one : i64
  %sum_1 = llvm.add %sum, %length : i64
  %min_1 = llvm.intr.umin(%min, %length) : (i64, i64) -> i64
  %max_1 = llvm.intr.umax(%max, %length) : (i64, i64) -> i64
  llvm.store %count_1, %count_p : i64, !llvm.ptr
  llvm.store %sum_1, %sum_p : i64, !llvm.ptr
  llvm.store %min_1, %min_p : i64, !llvm.ptr
  llvm.store %max_1, %max_p : i64, !llvm.ptr
  llvm.return
}

// The word carries site and kind; clock and sequence are added here. The host chooses what a full buffer keeps: with a
// mask of all ones its first records, and what comes later goes to the spare slot; with the mask of a ring its last.
// The cursor says how many there were.
llvm.func internal @__kinstr_record_event(%unit: !llvm.ptr, %records: i64, %word: i64, %payload: i64) attributes {always_inline} {
  %one = llvm.mlir.constant(1 : i64) : i64
  %low = llvm.mlir.constant(4294967295 : i64) : i64
  %sequence_shift = llvm.mlir.constant(56 : i64) : i64
  %cursor_p = llvm.getelementptr %unit[40] : (!llvm.ptr) -> !llvm.ptr, i8
  %capacity_p = llvm.getelementptr %unit[48] : (!llvm.ptr) -> !llvm.ptr, i8
  %mask_p = llvm.getelementptr %unit[56] : (!llvm.ptr) -> !llvm.ptr, i8
  %cursor = llvm.load %cursor_p : !llvm.ptr -> i64
  %capacity = llvm.load %capacity_p : !llvm.ptr -> i64
  %mask = llvm.load %mask_p : !llvm.ptr -> i64
  %next = llvm.add %cursor, %one : i64
  llvm.store %next, %cursor_p : i64, !llvm.ptr
  %masked = llvm.and %cursor, %mask : i64
  %slot = llvm.intr.umin(%masked, %capacity) : (i64, i64) -> i64
  %base = llvm.getelementptr %unit[%records] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %record_p = llvm.getelementptr %base[%slot] : (!llvm.ptr, i64) -> !llvm.ptr, i64
  %clock = llvm.and %payload, %low : i64
  %sequence = llvm.shl %cursor, %sequence_shift : i64
  %word_1 = llvm.or %word, %clock : i64
  %word_2 = llvm.or %word_1, %sequence : i64
  llvm.store %word_2, %record_p : i64, !llvm.ptr
  llvm.return
}

llvm.func internal @__kinstr_add_count(%unit: !llvm.ptr, %offset: i64) attributes {always_inline} {
  %one = llvm.mlir.constant(1 : i64) : i64
  %count_p = llvm.getelementptr %unit[%offset] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %count = llvm.load %count_p : !llvm.ptr -> i64
  %count_1 = llvm.add %count, %one : i64
  llvm.store %count_1, %count_p : i64, !llvm.ptr
  llvm.return
}

// What an induction variable came to, its past forgotten: else code generation counts trips in the loop instead of
// dividing after it.
llvm.func internal @__kinstr_opaque_i64(%value: i64) -> i64 attributes {always_inline} {
  %same = llvm.inline_asm "", "=r,0" %value : (i64) -> i64
  llvm.return %same : i64
}

llvm.func internal @__kinstr_opaque_i32(%value: i32) -> i32 attributes {always_inline} {
  %same = llvm.inline_asm "", "=r,0" %value : (i32) -> i32
  llvm.return %same : i32
}

// The step is a constant at every call, so that no division is left of most. A bound may lie within the last step.
llvm.func internal @__kinstr_add_trips(%unit: !llvm.ptr, %offset: i64, %distance: i64, %step: i64) attributes {always_inline} {
  %one = llvm.mlir.constant(1 : i64) : i64
  %rest = llvm.sub %step, %one : i64
  %whole = llvm.add %distance, %rest : i64
  %trips = llvm.udiv %whole, %step : i64
  %count_p = llvm.getelementptr %unit[%offset] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %count = llvm.load %count_p : !llvm.ptr -> i64
  %count_1 = llvm.add %count, %trips : i64
  llvm.store %count_1, %count_p : i64, !llvm.ptr
  llvm.return
}
