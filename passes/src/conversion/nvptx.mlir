// How a probe records on an NVIDIA GPU. Layout: trace/src/layout.rs; names in capitals are put in by nvptx.rs.
//
// A unit is a warp. No function branches: what must not happen is predicated off, so that probes change no control flow
// between threads, and none waits for a thread that is not there already.

// The state itself, as StateHeader in trace/src/layout.rs has it, in constant memory: each SM fetches it once, and reading
// it costs no request to memory. Of zeros, it has no room for units.
llvm.mlir.global external @__kinstr_state() {addr_space = 4 : i32, alignment = 64 : i64} : !llvm.array<32 x i64> {
  %zeros = llvm.mlir.zero : !llvm.array<32 x i64>
  llvm.return %zeros : !llvm.array<32 x i64>
}

// Whether the calling warp's block is one that records: the same for all of its threads.
llvm.func internal @__kinstr_is_recording() -> i1 attributes {always_inline} {
  %where = llvm.mlir.addressof @__kinstr_state : !llvm.ptr<4>
  %state = llvm.ptrtoint %where : !llvm.ptr<4> to i64
  %found = llvm.inline_asm has_side_effects "PTX(recording)", "=b,l" %state : (i64) -> i1
  llvm.return %found : i1
}

// Where the calling warp records: unit (0 for nowhere), block, warp, launch, mask of units, number of the unit.
llvm.func internal @__kinstr_find_unit() -> !llvm.struct<(i64, i64, i32, i32, i32, i32)> attributes {always_inline} {
  %where = llvm.mlir.addressof @__kinstr_state : !llvm.ptr<4>
  %state = llvm.ptrtoint %where : !llvm.ptr<4> to i64
  %found = llvm.inline_asm has_side_effects "PTX(find)", "=&l,=&l,=&r,=&r,=&r,=&r,l" %state : (i64) -> !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  llvm.return %found : !llvm.struct<(i64, i64, i32, i32, i32, i32)>
}

llvm.func internal @__kinstr_get_unit() -> i64 attributes {always_inline} {
  %found = llvm.call @__kinstr_find_unit() : () -> !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  %unit = llvm.extractvalue %found[0] : !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  llvm.return %unit : i64
}

// The low half of the clock. The memory clobber keeps accesses on their side of it.
llvm.func internal @__kinstr_read_clock() -> i32 attributes {always_inline} {
  %ticks = llvm.inline_asm has_side_effects "mov.u32 $0, %clock;", "=r,~{memory}" : () -> i32
  llvm.return %ticks : i32
}

llvm.func internal @__kinstr_read_time() -> i32 attributes {always_inline} {
  %ns = llvm.inline_asm has_side_effects "mov.u32 $0, %globaltimer_lo;", "=r" : () -> i32
  llvm.return %ns : i32
}

// Before a kernel returns: one lane tells of the warp if it has a unit of its own. Both clocks at the entry follow from
// their low halves and the clocks now, of a kernel that takes less than two seconds. The unit, the ticks since the entry, and
// whether the warp is whole in a unit of its own, or is not.
llvm.func internal @__kinstr_leave(%clock_entry: i32, %time_entry: i32, %only_aggregates: i32) -> !llvm.struct<(i64, i32, i1, i1)> attributes {always_inline} {
  %now = llvm.inline_asm has_side_effects "mov.u64 $0, %clock64;", "=l,~{memory}" : () -> i64
  %time = llvm.inline_asm has_side_effects "mov.u64 $0, %globaltimer;", "=l" : () -> i64
  %found = llvm.call @__kinstr_find_unit() : () -> !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  %unit = llvm.extractvalue %found[0] : !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  %block = llvm.extractvalue %found[1] : !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  %warp = llvm.extractvalue %found[2] : !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  %launch = llvm.extractvalue %found[3] : !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  %mask = llvm.extractvalue %found[4] : !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  %number = llvm.extractvalue %found[5] : !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  llvm.inline_asm has_side_effects "PTX(leave)", "l,l,r,r,r,r,l,l,r,r,r,~{memory}" %unit, %block, %warp, %launch, %mask, %number, %now, %time, %clock_entry, %time_entry, %only_aggregates : (i64, i64, i32, i32, i32, i32, i64, i64, i32, i32, i32) -> ()
  %whole = llvm.inline_asm has_side_effects "PTX(whole)", "=b,l,r" %unit, %mask : (i64, i32) -> i1
  %true = llvm.mlir.constant(true) : i1
  %part = llvm.xor %whole, %true : i1
  %now_low = llvm.trunc %now : i64 to i32
  %length = llvm.sub %now_low, %clock_entry : i32
  %none = llvm.mlir.poison : !llvm.struct<(i64, i32, i1, i1)>
  %half = llvm.insertvalue %unit, %none[0] : !llvm.struct<(i64, i32, i1, i1)>
  %timed = llvm.insertvalue %length, %half[1] : !llvm.struct<(i64, i32, i1, i1)>
  %judged = llvm.insertvalue %whole, %timed[2] : !llvm.struct<(i64, i32, i1, i1)>
  %left = llvm.insertvalue %part, %judged[3] : !llvm.struct<(i64, i32, i1, i1)>
  llvm.return %left : !llvm.struct<(i64, i32, i1, i1)>
}

// An interval, in variables that become registers.
llvm.func internal @__kinstr_keep_interval(%count_p: !llvm.ptr, %sum_p: !llvm.ptr, %min_p: !llvm.ptr, %max_p: !llvm.ptr, %begin: i32, %end: i32) attributes {always_inline} {
  %one = llvm.mlir.constant(1 : i32) : i32
  %length = llvm.sub %end, %begin : i32
  %count = llvm.load %count_p : !llvm.ptr -> i32
  %sum = llvm.load %sum_p : !llvm.ptr -> i32
  %min = llvm.load %min_p : !llvm.ptr -> i32
  %max = llvm.load %max_p : !llvm.ptr -> i32
  %count_1 = llvm.add %count, %one : i32
  %sum_1 = llvm.add %sum, %length : i32
  %min_1 = llvm.intr.umin(%min, %length) : (i32, i32) -> i32
  %max_1 = llvm.intr.umax(%max, %length) : (i32, i32) -> i32
  llvm.store %count_1, %count_p : i32, !llvm.ptr
  llvm.store %sum_1, %sum_p : i32, !llvm.ptr
  llvm.store %min_1, %min_p : i32, !llvm.ptr
  llvm.store %max_1, %max_p : i32, !llvm.ptr
  llvm.return
}

// The same where their number is that of a block's passes.
llvm.func internal @__kinstr_keep_span(%sum_p: !llvm.ptr, %min_p: !llvm.ptr, %max_p: !llvm.ptr, %begin: i32, %end: i32) attributes {always_inline} {
  %length = llvm.sub %end, %begin : i32
  %sum = llvm.load %sum_p : !llvm.ptr -> i32
  %min = llvm.load %min_p : !llvm.ptr -> i32
  %max = llvm.load %max_p : !llvm.ptr -> i32
  %sum_1 = llvm.add %sum, %length : i32
  %min_1 = llvm.intr.umin(%min, %length) : (i32, i32) -> i32
  %max_1 = llvm.intr.umax(%max, %length) : (i32, i32) -> i32
  llvm.store %sum_1, %sum_p : i32, !llvm.ptr
  llvm.store %min_1, %min_p : i32, !llvm.ptr
  llvm.store %max_1, %max_p : i32, !llvm.ptr
  llvm.return
}

// The interval of a site that a function passes once at most: its length alone, 0 while there was none.
llvm.func internal @__kinstr_keep_length(%length_p: !llvm.ptr, %begin: i32, %end: i32) attributes {always_inline} {
  %length = llvm.sub %end, %begin : i32
  llvm.store %length, %length_p : i32, !llvm.ptr
  llvm.return
}

llvm.func internal @__kinstr_keep_trips(%trips_p: !llvm.ptr, %more: i32) attributes {always_inline} {
  %trips = llvm.load %trips_p : !llvm.ptr -> i32
  %trips_1 = llvm.add %trips, %more : i32
  llvm.store %trips_1, %trips_p : i32, !llvm.ptr
  llvm.return
}

// Of the lanes that return together and passed the site, the lowest one's aggregate joins the warp's.
llvm.func internal @__kinstr_join_intervals(%unit: i64, %offset: i64, %count: i32, %sum: i32, %min: i32, %max: i32) attributes {always_inline} {
  %address = llvm.add %unit, %offset : i64
  llvm.inline_asm has_side_effects "PTX(join)", "l,l,r,r,r,r,~{memory}" %unit, %address, %count, %sum, %min, %max : (i64, i64, i32, i32, i32, i32) -> ()
  llvm.return
}

llvm.func internal @__kinstr_join_length(%unit: i64, %offset: i64, %length: i32) attributes {always_inline} {
  %address = llvm.add %unit, %offset : i64
  llvm.inline_asm has_side_effects "PTX(join_one)", "l,l,r,~{memory}" %unit, %address, %length : (i64, i64, i32) -> ()
  llvm.return
}

llvm.func internal @__kinstr_flush_kernel(%unit: i64, %offset: i64, %length: i32) attributes {always_inline} {
  %address = llvm.add %unit, %offset : i64
  llvm.inline_asm has_side_effects "PTX(flush_kernel)", "l,l,r,~{memory}" %unit, %address, %length : (i64, i64, i32) -> ()
  llvm.return
}

llvm.func internal @__kinstr_join_trips(%unit: i64, %offset: i64, %trips: i32) attributes {always_inline} {
  %address = llvm.add %unit, %offset : i64
  llvm.inline_asm has_side_effects "PTX(join_trips)", "l,l,r,~{memory}" %unit, %address, %trips : (i64, i64, i32) -> ()
  llvm.return
}

// The same of a whole warp whose unit nobody else writes to: no addition, which costs `ptxas` 20 instructions each.
llvm.func internal @__kinstr_store_intervals(%unit: i64, %offset: i64, %count: i32, %sum: i32, %min: i32, %max: i32) attributes {always_inline} {
  %address = llvm.add %unit, %offset : i64
  llvm.inline_asm has_side_effects "PTX(put)", "l,r,r,r,r,~{memory}" %address, %count, %sum, %min, %max : (i64, i32, i32, i32, i32) -> ()
  llvm.return
}

llvm.func internal @__kinstr_store_length(%unit: i64, %offset: i64, %length: i32) attributes {always_inline} {
  %address = llvm.add %unit, %offset : i64
  llvm.inline_asm has_side_effects "PTX(put_one)", "l,r,~{memory}" %address, %length : (i64, i32) -> ()
  llvm.return
}

llvm.func internal @__kinstr_store_trips(%unit: i64, %offset: i64, %trips: i32) attributes {always_inline} {
  %address = llvm.add %unit, %offset : i64
  llvm.inline_asm has_side_effects "PTX(put_trips)", "l,r,~{memory}" %address, %trips : (i64, i32) -> ()
  llvm.return
}

// Trace mode: the lowest lane at the function's head records for the warp as long as it runs; the others have no unit.
llvm.func internal @__kinstr_get_leader_unit() -> i64 attributes {always_inline} {
  %found = llvm.call @__kinstr_find_unit() : () -> !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  %all = llvm.extractvalue %found[0] : !llvm.struct<(i64, i64, i32, i32, i32, i32)>
  %unit = llvm.inline_asm has_side_effects "PTX(leader)", "=&l,l" %all : (i64) -> i64
  llvm.return %unit : i64
}

llvm.func internal @__kinstr_get_room(%unit: i64) -> !llvm.struct<(i32, i32)> attributes {always_inline} {
  %room = llvm.inline_asm has_side_effects "PTX(room)", "=&r,=&r,l" %unit : (i64) -> !llvm.struct<(i32, i32)>
  llvm.return %room : !llvm.struct<(i32, i32)>
}

// As on x86-64: a full buffer keeps its first records, or as a ring its last. The cursor counts in a register.
llvm.func internal @__kinstr_record_event(%unit: i64, %records: i64, %room: !llvm.struct<(i32, i32)>, %cursor_p: !llvm.ptr, %word: i64, %payload: i32) attributes {always_inline} {
  %one = llvm.mlir.constant(1 : i32) : i32
  %three = llvm.mlir.constant(3 : i64) : i64
  %sequence_shift = llvm.mlir.constant(56 : i64) : i64
  %capacity = llvm.extractvalue %room[0] : !llvm.struct<(i32, i32)>
  %mask = llvm.extractvalue %room[1] : !llvm.struct<(i32, i32)>
  %cursor = llvm.load %cursor_p : !llvm.ptr -> i32
  %next = llvm.add %cursor, %one : i32
  llvm.store %next, %cursor_p : i32, !llvm.ptr
  %masked = llvm.and %cursor, %mask : i32
  %slot = llvm.intr.umin(%masked, %capacity) : (i32, i32) -> i32
  %wide_slot = llvm.zext %slot : i32 to i64
  %bytes = llvm.shl %wide_slot, %three : i64
  %base = llvm.add %unit, %records : i64
  %address = llvm.add %base, %bytes : i64
  %number = llvm.zext %cursor : i32 to i64
  %sequence = llvm.shl %number, %sequence_shift : i64
  %clock = llvm.zext %payload : i32 to i64
  %word_1 = llvm.or %word, %clock : i64
  %word_2 = llvm.or %word_1, %sequence : i64
  llvm.inline_asm has_side_effects "PTX(store)", "l,l,l,~{memory}" %unit, %address, %word_2 : (i64, i64, i64) -> ()
  llvm.return
}

llvm.func internal @__kinstr_store_cursor(%unit: i64, %offset: i64, %cursor: i32) attributes {always_inline} {
  %address = llvm.add %unit, %offset : i64
  %number = llvm.zext %cursor : i32 to i64
  llvm.inline_asm has_side_effects "PTX(store)", "l,l,l,~{memory}" %unit, %address, %number : (i64, i64, i64) -> ()
  llvm.return
}

llvm.func internal @__kinstr_add_trips(%unit: i64, %offset: i64, %trips: i32) attributes {always_inline} {
  %address = llvm.add %unit, %offset : i64
  %more = llvm.zext %trips : i32 to i64
  llvm.inline_asm has_side_effects "PTX(add)", "l,l,l,~{memory}" %unit, %address, %more : (i64, i64, i64) -> ()
  llvm.return
}

// What an induction variable came to, its past forgotten: else code generation counts trips in the loop instead of
// dividing after it.
llvm.func internal @__kinstr_opaque_i64(%value: i64) -> i64 attributes {always_inline} {
  %same = llvm.inline_asm "mov.b64 $0, $1;", "=l,l" %value : (i64) -> i64
  llvm.return %same : i64
}

llvm.func internal @__kinstr_opaque_i32(%value: i32) -> i32 attributes {always_inline} {
  %same = llvm.inline_asm "mov.b32 $0, $1;", "=r,r" %value : (i32) -> i32
  llvm.return %same : i32
}

// One execution by a warp, and how many lanes took part. Warps may share a unit, so that all of these add up.
llvm.func internal @__kinstr_add_count(%unit: i64, %offset: i64, %words: i64) attributes {always_inline} {
  %counter = llvm.add %unit, %offset : i64
  %words_p = llvm.add %unit, %words : i64
  llvm.inline_asm has_side_effects "PTX(count)", "l,l,l,~{memory}" %unit, %counter, %words_p : (i64, i64, i64) -> ()
  llvm.return
}

// Words: active lanes, lanes that take the branch, executions in which some do and some do not.
llvm.func internal @__kinstr_record_branch(%unit: i64, %offset: i64, %words: i64, %outcome: i1) attributes {always_inline} {
  %counter = llvm.add %unit, %offset : i64
  %words_p = llvm.add %unit, %words : i64
  %taken = llvm.zext %outcome : i1 to i32
  llvm.inline_asm has_side_effects "PTX(branch)", "l,l,l,r,~{memory}" %unit, %counter, %words_p, %taken : (i64, i64, i64, i32) -> ()
  llvm.return
}

// Words: active lanes, bytes, 32-byte sectors, most lanes on one address. `first` is 0 for what follows the first 16 bytes
// of a wider access, which is a request of its own to memory but no other execution.
llvm.func internal @__kinstr_record_global(%unit: i64, %offset: i64, %words: i64, %address: i64, %active: i1, %width: i64, %first: i64) attributes {always_inline} {
  %counter = llvm.add %unit, %offset : i64
  %words_p = llvm.add %unit, %words : i64
  %takes_part = llvm.zext %active : i1 to i32
  llvm.inline_asm has_side_effects "PTX(global)", "l,l,l,l,r,l,l,~{memory}" %unit, %counter, %words_p, %address, %takes_part, %width, %first : (i64, i64, i64, i64, i32, i64, i64) -> ()
  llvm.return
}

// The same of shared memory, with wavefronts in place of sectors: the most distinct words that one of the 32 banks must give.
llvm.func internal @__kinstr_record_shared(%unit: i64, %offset: i64, %words: i64, %address: i64, %active: i1, %width: i64, %first: i64) attributes {always_inline} {
  %counter = llvm.add %unit, %offset : i64
  %words_p = llvm.add %unit, %words : i64
  %takes_part = llvm.zext %active : i1 to i32
  llvm.inline_asm has_side_effects "PTX(shared)", "l,l,l,l,r,l,l,~{memory}" %unit, %counter, %words_p, %address, %takes_part, %width, %first : (i64, i64, i64, i64, i32, i64, i64) -> ()
  llvm.return
}
