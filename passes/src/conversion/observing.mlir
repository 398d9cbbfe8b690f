// How probes that follow single accesses and branches record, on any target whose records are in memory. What the words
// mean: trace/src/observed.rs. Appended to a target's record library where a site owns words.

// Words: last address, last stride, five classes of strides, strides equal to the one before.
llvm.func internal @__kinstr_record_access(%unit: !llvm.ptr, %counter: i64, %words: i64, %width: i64, %pointer: !llvm.ptr, %active: i1) attributes {always_inline} {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %line = llvm.mlir.constant(63 : i64) : i64
  %page = llvm.mlir.constant(4095 : i64) : i64
  llvm.cond_br %active, ^record, ^done
^record:
  %count_p = llvm.getelementptr %unit[%counter] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %count = llvm.load %count_p : !llvm.ptr -> i64
  %count_1 = llvm.add %count, %one : i64
  llvm.store %count_1, %count_p : i64, !llvm.ptr
  %last_p = llvm.getelementptr %unit[%words] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %stride_p = llvm.getelementptr %last_p[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %classes_p = llvm.getelementptr %last_p[16] : (!llvm.ptr) -> !llvm.ptr, i8
  %regular_p = llvm.getelementptr %last_p[56] : (!llvm.ptr) -> !llvm.ptr, i8
  %address = llvm.ptrtoint %pointer : !llvm.ptr to i64
  %last = llvm.load %last_p : !llvm.ptr -> i64
  %last_stride = llvm.load %stride_p : !llvm.ptr -> i64
  %stride = llvm.sub %address, %last : i64
  llvm.store %address, %last_p : i64, !llvm.ptr
  llvm.store %stride, %stride_p : i64, !llvm.ptr
  %same = llvm.icmp "eq" %stride, %last_stride : i64
  %same_1 = llvm.zext %same : i1 to i64
  %regular = llvm.load %regular_p : !llvm.ptr -> i64
  %regular_1 = llvm.add %regular, %same_1 : i64
  llvm.store %regular_1, %regular_p : i64, !llvm.ptr
  %size = "llvm.intr.abs"(%stride) <{is_int_min_poison = false}> : (i64) -> i64
  %least_line = llvm.intr.umax(%width, %line) : (i64, i64) -> i64
  %least_page = llvm.intr.umax(%width, %page) : (i64, i64) -> i64
  %moved = llvm.icmp "ne" %size, %zero : i64
  %apart = llvm.icmp "ugt" %size, %width : i64
  %over_line = llvm.icmp "ugt" %size, %least_line : i64
  %over_page = llvm.icmp "ugt" %size, %least_page : i64
  %class_1 = llvm.zext %moved : i1 to i64
  %class_2 = llvm.zext %apart : i1 to i64
  %class_3 = llvm.zext %over_line : i1 to i64
  %class_4 = llvm.zext %over_page : i1 to i64
  %class_12 = llvm.add %class_1, %class_2 : i64
  %class_34 = llvm.add %class_3, %class_4 : i64
  %class = llvm.add %class_12, %class_34 : i64
  %class_p = llvm.getelementptr %classes_p[%class] : (!llvm.ptr, i64) -> !llvm.ptr, i64
  %strides = llvm.load %class_p : !llvm.ptr -> i64
  %strides_1 = llvm.add %strides, %one : i64
  llvm.store %strides_1, %class_p : i64, !llvm.ptr
  llvm.br ^done
^done:
  llvm.return
}

// The first and the last line of an access. `shared` is where the words of the module's table of lines begin.
llvm.func internal @__kinstr_record_touch(%unit: !llvm.ptr, %shared: i64, %words: i64, %width: i64, %pointer: !llvm.ptr, %active: i1) attributes {always_inline} {
  %one = llvm.mlir.constant(1 : i64) : i64
  %six = llvm.mlir.constant(6 : i64) : i64
  %address = llvm.ptrtoint %pointer : !llvm.ptr to i64
  %first = llvm.lshr %address, %six : i64
  %past = llvm.add %address, %width : i64
  %end = llvm.sub %past, %one : i64
  %last = llvm.lshr %end, %six : i64
  %crosses = llvm.icmp "ne" %first, %last : i64
  %both = llvm.and %crosses, %active : i1
  llvm.call @__kinstr_touch_line(%unit, %shared, %words, %first, %active) : (!llvm.ptr, i64, i64, i64, i1) -> ()
  llvm.call @__kinstr_touch_line(%unit, %shared, %words, %last, %both) : (!llvm.ptr, i64, i64, i64, i1) -> ()
  llvm.return
}

// Common case: a count, a hash and a comparison. The multiplier is 2^64 over the golden ratio (Knuth, 6.4).
llvm.func internal @__kinstr_touch_line(%unit: !llvm.ptr, %shared: i64, %words: i64, %line: i64, %active: i1) attributes {always_inline} {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %golden = llvm.mlir.constant(-7046029254386353131 : i64) : i64
  %forty = llvm.mlir.constant(40 : i64) : i64
  llvm.cond_br %active, ^record, ^done
^record:
  %now_p = llvm.getelementptr %unit[%shared] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %mask_p = llvm.getelementptr %now_p[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %before = llvm.load %now_p : !llvm.ptr -> i64
  %now = llvm.add %before, %one : i64
  llvm.store %now, %now_p : i64, !llvm.ptr
  %mask = llvm.load %mask_p : !llvm.ptr -> i64
  %hash = llvm.mul %line, %golden : i64
  %high = llvm.lshr %hash, %forty : i64
  %kept = llvm.and %high, %mask : i64
  %sampled = llvm.icmp "eq" %kept, %zero : i64
  llvm.cond_br %sampled, ^track, ^done
^track:
  %site_p = llvm.getelementptr %unit[%words] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  llvm.call preserve_allcc @__kinstr_track_line(%now_p, %site_p, %line, %hash, %now) : (!llvm.ptr, !llvm.ptr, i64, i64, i64) -> ()
  llvm.br ^done
^done:
  llvm.return
}

// A line of the sample. Shared words: accesses so far, mask, halvings of the rate, then the table: 256 buckets of 16
// entries {line, when it was last touched}. A full bucket halves the rate, and lines outside the sample are forgotten
// (SHARDS with a fixed size: Waldspurger et al., FAST 2015). Site words: first touches, then touches by the logarithm of the
// accesses since the last touch; each counts for as many as one in the sample stands for.
llvm.func internal preserve_allcc @__kinstr_track_line(%shared: !llvm.ptr, %site: !llvm.ptr, %line: i64, %hash: i64, %now: i64) attributes {no_inline} {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %sixteen = llvm.mlir.constant(16 : i64) : i64
  %most_age = llvm.mlir.constant(31 : i64) : i64
  %no_slot = llvm.mlir.constant(-1 : i64) : i64
  %fifty_six = llvm.mlir.constant(56 : i64) : i64
  %other = llvm.mlir.constant(-4417276706812531889 : i64) : i64
  %forty = llvm.mlir.constant(40 : i64) : i64
  %sixty_three = llvm.mlir.constant(63 : i64) : i64
  %bucket_shift = llvm.mlir.constant(8 : i64) : i64
  %table_entries = llvm.mlir.constant(4096 : i64) : i64
  %golden = llvm.mlir.constant(-7046029254386353131 : i64) : i64
  %mask_p = llvm.getelementptr %shared[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %halvings_p = llvm.getelementptr %shared[16] : (!llvm.ptr) -> !llvm.ptr, i8
  %table = llvm.getelementptr %shared[24] : (!llvm.ptr) -> !llvm.ptr, i8
  %weight_shift = llvm.load %halvings_p : !llvm.ptr -> i64
  %weight = llvm.shl %one, %weight_shift : i64
  // A hash of its own: lines that are alike in the sample's must not share a bucket.
  %spread = llvm.mul %line, %other : i64
  %bucket = llvm.lshr %spread, %fifty_six : i64
  %bucket_bytes = llvm.shl %bucket, %bucket_shift : i64
  %entries = llvm.getelementptr %table[%bucket_bytes] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  llvm.br ^search(%zero, %no_slot : i64, i64)
^search(%index: i64, %free: i64):
  %entry = llvm.getelementptr %entries[%index, 0] : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.struct<(i64, i64)>
  %known = llvm.load %entry : !llvm.ptr -> i64
  %found = llvm.icmp "eq" %known, %line : i64
  llvm.cond_br %found, ^again, ^next
^next:
  %empty = llvm.icmp "eq" %known, %zero : i64
  %free_1 = llvm.select %empty, %index, %free : i1, i64
  %index_1 = llvm.add %index, %one : i64
  %more = llvm.icmp "ult" %index_1, %sixteen : i64
  llvm.cond_br %more, ^search(%index_1, %free_1 : i64, i64), ^first
^again:
  %when_p = llvm.getelementptr %entry[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %when = llvm.load %when_p : !llvm.ptr -> i64
  llvm.store %now, %when_p : i64, !llvm.ptr
  %age = llvm.sub %now, %when : i64
  %zeros = "llvm.intr.ctlz"(%age) <{is_zero_poison = false}> : (i64) -> i64
  %log = llvm.sub %sixty_three, %zeros : i64
  %bin = llvm.intr.umin(%log, %most_age) : (i64, i64) -> i64
  %reuses = llvm.getelementptr %site[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %reuse_p = llvm.getelementptr %reuses[%bin] : (!llvm.ptr, i64) -> !llvm.ptr, i64
  %reuse = llvm.load %reuse_p : !llvm.ptr -> i64
  %reuse_1 = llvm.add %reuse, %weight : i64
  llvm.store %reuse_1, %reuse_p : i64, !llvm.ptr
  llvm.return
^first:
  %cold = llvm.load %site : !llvm.ptr -> i64
  %cold_1 = llvm.add %cold, %weight : i64
  llvm.store %cold_1, %site : i64, !llvm.ptr
  llvm.br ^insert(%free_1 : i64)
^insert(%slot: i64):
  %full = llvm.icmp "eq" %slot, %no_slot : i64
  llvm.cond_br %full, ^halve, ^put
^put:
  %put_p = llvm.getelementptr %entries[%slot, 0] : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.struct<(i64, i64)>
  %put_when_p = llvm.getelementptr %put_p[8] : (!llvm.ptr) -> !llvm.ptr, i8
  llvm.store %line, %put_p : i64, !llvm.ptr
  llvm.store %now, %put_when_p : i64, !llvm.ptr
  llvm.return
^halve:
  %mask = llvm.load %mask_p : !llvm.ptr -> i64
  %mask_2 = llvm.shl %mask, %one : i64
  %mask_3 = llvm.or %mask_2, %one : i64
  llvm.store %mask_3, %mask_p : i64, !llvm.ptr
  %halvings = llvm.load %halvings_p : !llvm.ptr -> i64
  %halvings_1 = llvm.add %halvings, %one : i64
  llvm.store %halvings_1, %halvings_p : i64, !llvm.ptr
  llvm.br ^forget(%zero : i64)
^forget(%old: i64):
  %old_p = llvm.getelementptr %table[%old, 0] : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.struct<(i64, i64)>
  %old_line = llvm.load %old_p : !llvm.ptr -> i64
  %old_hash = llvm.mul %old_line, %golden : i64
  %old_high = llvm.lshr %old_hash, %forty : i64
  %old_kept = llvm.and %old_high, %mask_3 : i64
  %stays = llvm.icmp "eq" %old_kept, %zero : i64
  %left = llvm.select %stays, %old_line, %zero : i1, i64
  llvm.store %left, %old_p : i64, !llvm.ptr
  %old_1 = llvm.add %old, %one : i64
  %not_last = llvm.icmp "ult" %old_1, %table_entries : i64
  llvm.cond_br %not_last, ^forget(%old_1 : i64), ^halved
^halved:
  %high = llvm.lshr %hash, %forty : i64
  %kept = llvm.and %high, %mask_3 : i64
  %sampled = llvm.icmp "eq" %kept, %zero : i64
  llvm.cond_br %sampled, ^search_free(%zero : i64), ^out
^search_free(%at: i64):
  %at_p = llvm.getelementptr %entries[%at, 0] : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.struct<(i64, i64)>
  %at_line = llvm.load %at_p : !llvm.ptr -> i64
  %is_free = llvm.icmp "eq" %at_line, %zero : i64
  %at_1 = llvm.add %at, %one : i64
  %at_more = llvm.icmp "ult" %at_1, %sixteen : i64
  llvm.cond_br %is_free, ^insert(%at : i64), ^search_more
^search_more:
  llvm.cond_br %at_more, ^search_free(%at_1 : i64), ^insert(%no_slot : i64)
^out:
  llvm.return
}

// Words: taken, transitions, the last eight outcomes, mispredictions, then 256 two-bit counters, one a history: a branch
// predictor of two levels (Yeh and Patt, MICRO 1991).
llvm.func internal @__kinstr_record_branch(%unit: !llvm.ptr, %counter: i64, %words: i64, %outcome: i1) attributes {always_inline} {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %three = llvm.mlir.constant(3 : i64) : i64
  %five = llvm.mlir.constant(5 : i64) : i64
  %least = llvm.mlir.constant(-1 : i64) : i64
  %in_word = llvm.mlir.constant(31 : i64) : i64
  %histories = llvm.mlir.constant(255 : i64) : i64
  %count_p = llvm.getelementptr %unit[%counter] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %count = llvm.load %count_p : !llvm.ptr -> i64
  %count_1 = llvm.add %count, %one : i64
  llvm.store %count_1, %count_p : i64, !llvm.ptr
  %taken_p = llvm.getelementptr %unit[%words] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %transitions_p = llvm.getelementptr %taken_p[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %history_p = llvm.getelementptr %taken_p[16] : (!llvm.ptr) -> !llvm.ptr, i8
  %missed_p = llvm.getelementptr %taken_p[24] : (!llvm.ptr) -> !llvm.ptr, i8
  %counters_p = llvm.getelementptr %taken_p[32] : (!llvm.ptr) -> !llvm.ptr, i8
  %now = llvm.zext %outcome : i1 to i64
  %taken = llvm.load %taken_p : !llvm.ptr -> i64
  %taken_1 = llvm.add %taken, %now : i64
  llvm.store %taken_1, %taken_p : i64, !llvm.ptr
  %history = llvm.load %history_p : !llvm.ptr -> i64
  %last = llvm.and %history, %one : i64
  %changed = llvm.xor %last, %now : i64
  %not_first = llvm.icmp "ne" %count, %zero : i64
  %not_first_1 = llvm.zext %not_first : i1 to i64
  %transition = llvm.and %changed, %not_first_1 : i64
  %transitions = llvm.load %transitions_p : !llvm.ptr -> i64
  %transitions_1 = llvm.add %transitions, %transition : i64
  llvm.store %transitions_1, %transitions_p : i64, !llvm.ptr
  %word = llvm.lshr %history, %five : i64
  %word_p = llvm.getelementptr %counters_p[%word] : (!llvm.ptr, i64) -> !llvm.ptr, i64
  %within = llvm.and %history, %in_word : i64
  %shift = llvm.shl %within, %one : i64
  %packed = llvm.load %word_p : !llvm.ptr -> i64
  %shifted = llvm.lshr %packed, %shift : i64
  %state = llvm.and %shifted, %three : i64
  %predicted = llvm.lshr %state, %one : i64
  %wrong = llvm.xor %predicted, %now : i64
  %missed = llvm.load %missed_p : !llvm.ptr -> i64
  %missed_1 = llvm.add %missed, %wrong : i64
  llvm.store %missed_1, %missed_p : i64, !llvm.ptr
  %step = llvm.select %outcome, %one, %least : i1, i64
  %moved = llvm.add %state, %step : i64
  %above = llvm.intr.smax(%moved, %zero) : (i64, i64) -> i64
  %next = llvm.intr.smin(%above, %three) : (i64, i64) -> i64
  %flipped = llvm.xor %state, %next : i64
  %placed = llvm.shl %flipped, %shift : i64
  %packed_1 = llvm.xor %packed, %placed : i64
  llvm.store %packed_1, %word_p : i64, !llvm.ptr
  %older = llvm.shl %history, %one : i64
  %newer = llvm.or %older, %now : i64
  %history_1 = llvm.and %newer, %histories : i64
  llvm.store %history_1, %history_p : i64, !llvm.ptr
  llvm.return
}

// Words: the last value, transitions.
llvm.func internal @__kinstr_record_switch(%unit: !llvm.ptr, %counter: i64, %words: i64, %value: i64) attributes {always_inline} {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %count_p = llvm.getelementptr %unit[%counter] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %count = llvm.load %count_p : !llvm.ptr -> i64
  %count_1 = llvm.add %count, %one : i64
  llvm.store %count_1, %count_p : i64, !llvm.ptr
  %last_p = llvm.getelementptr %unit[%words] : (!llvm.ptr, i64) -> !llvm.ptr, i8
  %transitions_p = llvm.getelementptr %last_p[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %last = llvm.load %last_p : !llvm.ptr -> i64
  llvm.store %value, %last_p : i64, !llvm.ptr
  %changed = llvm.icmp "ne" %last, %value : i64
  %not_first = llvm.icmp "ne" %count, %zero : i64
  %transition = llvm.and %changed, %not_first : i1
  %transition_1 = llvm.zext %transition : i1 to i64
  %transitions = llvm.load %transitions_p : !llvm.ptr -> i64
  %transitions_1 = llvm.add %transitions, %transition_1 : i64
  llvm.store %transitions_1, %transitions_p : i64, !llvm.ptr
  llvm.return
}
