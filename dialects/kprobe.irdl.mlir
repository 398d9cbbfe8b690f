// The kprobe dialect. This file is its definition: kinstr loads it at run time through IRDL.
//
// Two levels (see README.md): intent ops say what is to be measured and carry a site id; mechanism
// ops say how, with the clock read apart from the store, so that the store can leave the interval.

irdl.dialect @kprobe {
  // Handle of the execution unit's record memory: a thread's on the CPU, a warp's on a GPU.
  irdl.type @unit

  // ---- intent ----

  irdl.operation @init {}

  irdl.operation @flush {}

  irdl.operation @region_begin {
    %site = irdl.base "#builtin.integer"
    irdl.attributes { "site" = %site }
  }

  irdl.operation @region_end {
    %site = irdl.base "#builtin.integer"
    irdl.attributes { "site" = %site }
  }

  irdl.operation @count {
    %site = irdl.base "#builtin.integer"
    irdl.attributes { "site" = %site }
  }

  // The length of a copy or fill that follows.
  irdl.operation @count_bytes {
    %site = irdl.base "#builtin.integer"
    %integer = irdl.base "!builtin.integer"
    irdl.attributes { "site" = %site }
    irdl.operands(length: %integer)
  }

  irdl.operation @sample {
    %site = irdl.base "#builtin.integer"
    %i64 = irdl.is i64
    irdl.attributes { "site" = %site }
    irdl.operands(value: %i64)
  }

  irdl.operation @count_trips {
    %site = irdl.base "#builtin.integer"
    %step = irdl.base "#builtin.integer"
    %integer = irdl.base "!builtin.integer"
    irdl.attributes { "site" = %site, "step" = %step }
    irdl.operands(first: %integer, last: %integer)
  }

  // One access to memory: a pointer, or a vector of them; the mask says which lanes, or whether any.
  irdl.operation @access {
    %site = irdl.base "#builtin.integer"
    %width = irdl.base "#builtin.integer"
    // A constraint of its own each: one that is used twice asks for one type.
    %pointer = irdl.any
    %mask = irdl.any
    irdl.attributes { "site" = %site, "width" = %width }
    irdl.operands(pointer: %pointer, mask: optional %mask)
  }

  // The same, for the cache lines it touches.
  irdl.operation @touch {
    %site = irdl.base "#builtin.integer"
    %width = irdl.base "#builtin.integer"
    // A constraint of its own each: one that is used twice asks for one type.
    %pointer = irdl.any
    %mask = irdl.any
    irdl.attributes { "site" = %site, "width" = %width }
    irdl.operands(pointer: %pointer, mask: optional %mask)
  }

  irdl.operation @branch {
    %site = irdl.base "#builtin.integer"
    %any = irdl.any
    irdl.attributes { "site" = %site }
    irdl.operands(outcome: %any)
  }

  // ---- mechanism ----

  irdl.operation @get_unit {
    %unit = irdl.base @kprobe::@unit
    irdl.results(unit: %unit)
  }

  irdl.operation @store_unit {
    %unit = irdl.base @kprobe::@unit
    irdl.operands(unit: %unit)
  }

  irdl.operation @read_clock {
    %i64 = irdl.is i64
    irdl.results(ticks: %i64)
  }

  irdl.operation @record_interval {
    %site = irdl.base "#builtin.integer"
    %unit = irdl.base @kprobe::@unit
    %i64 = irdl.is i64
    irdl.attributes { "site" = %site }
    irdl.operands(unit: %unit, begin: %i64, end: %i64)
  }

  irdl.operation @record_event {
    %site = irdl.base "#builtin.integer"
    %kind = irdl.base "#builtin.integer"
    %unit = irdl.base @kprobe::@unit
    %i64 = irdl.is i64
    irdl.attributes { "site" = %site, "kind" = %kind }
    irdl.operands(unit: %unit, payload: %i64)
  }

  irdl.operation @record_access {
    %site = irdl.base "#builtin.integer"
    %width = irdl.base "#builtin.integer"
    %unit = irdl.base @kprobe::@unit
    %any = irdl.any
    %i1 = irdl.is i1
    irdl.attributes { "site" = %site, "width" = %width }
    irdl.operands(unit: %unit, pointer: %any, active: %i1)
  }

  irdl.operation @record_touch {
    %site = irdl.base "#builtin.integer"
    %width = irdl.base "#builtin.integer"
    %unit = irdl.base @kprobe::@unit
    %any = irdl.any
    %i1 = irdl.is i1
    irdl.attributes { "site" = %site, "width" = %width }
    irdl.operands(unit: %unit, pointer: %any, active: %i1)
  }

  irdl.operation @record_branch {
    %site = irdl.base "#builtin.integer"
    %unit = irdl.base @kprobe::@unit
    %i1 = irdl.is i1
    irdl.attributes { "site" = %site }
    irdl.operands(unit: %unit, outcome: %i1)
  }

  irdl.operation @record_switch {
    %site = irdl.base "#builtin.integer"
    %unit = irdl.base @kprobe::@unit
    %i64 = irdl.is i64
    irdl.attributes { "site" = %site }
    irdl.operands(unit: %unit, value: %i64)
  }

  irdl.operation @add_count {
    %site = irdl.base "#builtin.integer"
    %unit = irdl.base @kprobe::@unit
    irdl.attributes { "site" = %site }
    irdl.operands(unit: %unit)
  }

  irdl.operation @add_trips {
    %site = irdl.base "#builtin.integer"
    %step = irdl.base "#builtin.integer"
    %unit = irdl.base @kprobe::@unit
    %integer = irdl.base "!builtin.integer"
    irdl.attributes { "site" = %site, "step" = %step }
    irdl.operands(unit: %unit, first: %integer, last: %integer)
  }
}
