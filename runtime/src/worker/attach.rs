//! Recording, seen from the worker: hands units to threads and stamps the clocks.

use std::cell::Cell;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use kinstr_trace::layout::{MAGIC, STATE_BYTES, STATE_SYMBOL, StateHeader, UnitHeader};

use super::candidate::Candidate;
use super::protocol::{Refusal, RefusalKind};
use crate::clock;
use crate::shared::{Access, Mapping};

/// Counts attachments, so that a thread knows a unit of an earlier one.
static GENERATION: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// This thread's unit, and the attachment it belongs to.
    static UNIT: Cell<(u64, *mut UnitHeader)> = const { Cell::new((0, std::ptr::null_mut())) };
}

/// A library that records, until dropped.
pub(super) struct Attachment {
    records: Mapping,
    /// The library's `__kinstr_state`, a `ptr`.
    global: NonNull<*mut StateHeader>,
    begun: bool,
}

impl Attachment {
    /// Makes `candidate` record into the inherited memory `fd`.
    pub(super) fn new(candidate: &Candidate, fd: i32, bytes: usize) -> Result<Self, Refusal> {
        let global = candidate
            .variable(STATE_SYMBOL)?
            .and_then(|address| NonNull::new(address.cast::<*mut StateHeader>()));
        let Some(global) = global else {
            let message = format!("the library has no `{STATE_SYMBOL}`: it was built without probes");
            return Err(Refusal::new(RefusalKind::NoState, message));
        };
        let records = Mapping::inherited(fd, bytes, Access::Write)?;
        let state = checked_state(&records)?;
        GENERATION.fetch_add(1, Relaxed);
        // SAFETY: `checked_state` found a header in the mapping, which outlives the candidate's use of
        // it because `drop` takes the address back; the global is the library's pointer variable, and
        // no candidate code runs now.
        unsafe {
            (*state).attach = attach as *const () as u64;
            (*state).units = state as u64 + STATE_BYTES;
            global.as_ptr().write_volatile(state);
        }
        Ok(Self { records, global, begun: false })
    }

    /// Runs `kernel`, which is `calls` calls, and stamps when recording began and ended.
    pub(super) fn record(&mut self, calls: u32, kernel: impl FnOnce()) {
        let state = self.state();
        if !self.begun {
            self.begun = true;
            // SAFETY: the header lies in our mapping and no candidate code runs now.
            unsafe { ((*state).clock_begin, (*state).global_begin) = now() };
        }
        kernel();
        let end = now();
        // SAFETY: as above; units 0..units_used lie in the mapping, because `attach` hands out no more
        // than `unit_capacity`, and the minimum holds even if the candidate overwrote the header.
        unsafe {
            ((*state).clock_end, (*state).global_end) = end;
            (*state).launches = (*state).launches.saturating_add(calls);
            let stride = (*state).unit_stride;
            let room = (self.records.len() as u64 - STATE_BYTES).checked_div(stride).unwrap_or(0);
            for unit in 0..u64::from((*state).units_used).min(room) {
                let unit = state.byte_add((STATE_BYTES + unit * stride) as usize).cast::<UnitHeader>();
                ((*unit).clock_exit, (*unit).global_exit) = end;
            }
        }
    }

    fn state(&self) -> *mut StateHeader {
        self.records.address().cast()
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: the library is never unloaded, so its variable is still there; null means that
        // nothing is recorded from now on.
        unsafe { self.global.as_ptr().write_volatile(std::ptr::null_mut()) };
    }
}

fn now() -> (u64, u64) {
    (clock::ticks(), clock::nanoseconds())
}

/// The header of the record memory, if that is what the mapping holds.
fn checked_state(records: &Mapping) -> Result<*mut StateHeader, Refusal> {
    let state = records.address().cast::<StateHeader>();
    let fits = records.len() as u64 >= STATE_BYTES && {
        // SAFETY: the mapping is page-aligned and holds a header; integers have no invalid values.
        let header = unsafe { state.read() };
        let units = (u64::from(header.unit_capacity) + 1).checked_mul(header.unit_stride);
        let end = units.and_then(|units| units.checked_add(STATE_BYTES));
        header.magic == MAGIC && end.is_some_and(|end| end <= records.len() as u64)
    };
    if fits { Ok(state) } else { Err(io::Error::other("this is no record memory").into()) }
}

/// Called by a kernel that starts on a thread, through [`StateHeader::attach`]: this thread's unit.
///
/// A thread that finds no unit left is counted in `units_refused` and gets a spare one that no record
/// file holds, so that the kernel need not ask whether it got one.
extern "C" fn attach(state: *mut StateHeader) -> *mut UnitHeader {
    let generation = GENERATION.load(Relaxed);
    let (known, unit) = UNIT.get();
    if known == generation {
        return unit;
    }
    // SAFETY: the kernel passes the state it was given, which `Attachment::new` checked; the counters
    // are only touched atomically while kernels run, and the unit is inside the mapping.
    let unit = unsafe {
        let used = AtomicU32::from_ptr(&raw mut (*state).units_used);
        let capacity = (*state).unit_capacity;
        let free = used.fetch_update(Relaxed, Relaxed, |used| (used < capacity).then_some(used + 1));
        if free.is_err() {
            AtomicU32::from_ptr(&raw mut (*state).units_refused).fetch_add(1, Relaxed);
        }
        let index = u64::from(free.unwrap_or(capacity));
        let unit = state.byte_add((STATE_BYTES + index * (*state).unit_stride) as usize).cast::<UnitHeader>();
        (*unit).core_id = clock::core_id();
        ((*unit).clock_entry, (*unit).global_entry) = now();
        unit
    };
    UNIT.set((generation, unit));
    unit
}
