//! Control page: what a worker can still tell its parent while it dies.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::shared::{Mapping, Memory};

/// Descriptor number of the control page in a worker.
pub const CONTROL_FD: i32 = crate::confine::FIRST_FD + 1;
/// Bytes of the control page.
pub const CONTROL_BYTES: usize = 4096;
/// Bytes above the end of the stack where its pointer is when the stack runs out by a call: much more than a red
/// zone, and little of the whole.
const NEAR_THE_END: u64 = 64 << 10;

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Its own code runs.
    Own = 0,
    /// The candidate's library is being loaded, constructors included.
    Loading = 1,
    /// The candidate's code runs.
    Running = 2,
}

/// Shared between parent and worker. The worker writes, and its parent reads after its death.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Control {
    phase: AtomicU32,
    pub(super) signal: AtomicI32,
    pub(super) code: AtomicI32,
    pub(super) writing: AtomicU32,
    pub(super) address: AtomicU64,
    pub(super) program_counter: AtomicU64,
    pub(super) stack_pointer: AtomicU64,
    pub(super) address_space: AtomicU64,
    pub(super) address_space_limit: AtomicU64,
    arena: AtomicU64,
    pub(super) stack_guard: AtomicU64,
    pub(super) stack: AtomicU64,
}

const _: () = assert!(size_of::<Control>() <= CONTROL_BYTES);

/// A signal that ended a worker, as its handler saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSignal {
    /// Signal number.
    pub signal: i32,
    /// The kernel's `si_code`.
    pub code: i32,
    /// Faulting address.
    pub address: u64,
    /// Whether the faulting access was a write, where the processor tells.
    pub writing: bool,
    /// Program counter.
    pub program_counter: u64,
    /// Stack pointer.
    pub stack_pointer: u64,
    /// Bytes of address space in use.
    pub address_space: u64,
}

impl Control {
    /// The parent's view of the control page in `memory`.
    ///
    /// `None` if the memory is smaller than the page.
    pub fn of(memory: &Memory) -> Option<&Self> {
        Self::at(memory.mapping())
    }

    /// The control page at the start of a mapping.
    pub(super) fn at(mapping: &Mapping) -> Option<&Self> {
        if mapping.len() < CONTROL_BYTES {
            return None;
        }
        // SAFETY: the mapping is page-aligned, large enough and lives as long as the borrow; every
        // field is atomic, so that the other process may write at any time, and every bit pattern of
        // an integer is valid.
        Some(unsafe { &*mapping.address().cast::<Self>() })
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u32, Relaxed);
    }

    pub(super) fn enter_arena(&self, arena: &Mapping) {
        self.arena.store(arena.address() as u64, Relaxed);
    }

    /// What the worker was doing last.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            1 => Phase::Loading,
            2 => Phase::Running,
            _ => Phase::Own,
        }
    }

    /// The signal the worker's handler saw, if it ran.
    pub fn last_signal(&self) -> Option<LastSignal> {
        let signal = self.signal.load(Relaxed);
        (signal != 0).then(|| LastSignal {
            signal,
            code: self.code.load(Relaxed),
            address: self.address.load(Relaxed),
            writing: self.writing.load(Relaxed) != 0,
            program_counter: self.program_counter.load(Relaxed),
            stack_pointer: self.stack_pointer.load(Relaxed),
            address_space: self.address_space.load(Relaxed),
        })
    }

    /// Limit on its address space in bytes, if it has one.
    pub fn address_space_limit(&self) -> Option<u64> {
        match self.address_space_limit.load(Relaxed) {
            0 => None,
            limit => Some(limit),
        }
    }

    /// Offset of `address` in the arena as the worker mapped it, if it lies there.
    pub fn arena_offset(&self, address: u64, arena_bytes: usize) -> Option<usize> {
        let base = self.arena.load(Relaxed);
        let offset = usize::try_from(address.checked_sub(base)?).ok()?;
        (base != 0 && offset < arena_bytes).then_some(offset)
    }

    /// Whether a fault at `address` with the stack at `stack_pointer` means that the stack ran out.
    ///
    /// The guard alone does not tell: the arena may lie right below it, so that a wild index ends in it too. But
    /// a stack that ran out has its pointer at its end, or below it where a frame is large.
    pub fn is_stack_overflow(&self, address: u64, stack_pointer: u64) -> bool {
        let (guard, stack) = (self.stack_guard.load(Relaxed), self.stack.load(Relaxed));
        let ran_out = stack_pointer < stack.saturating_add(NEAR_THE_END);
        // A frame larger than the guard jumps over it.
        let below = stack_pointer < stack && address.abs_diff(stack_pointer) < 1 << 20;
        stack != 0 && ran_out && ((guard..stack).contains(&address) || below)
    }
}
