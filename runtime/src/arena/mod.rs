//! Arena: the tensors of one workload, in memory that parent and child share.

mod layout;

use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use thiserror::Error;

pub use layout::{Buffer, BufferSpec, CANARY_BYTES, DATA_ALIGNMENT, GUARD_BYTES, Layout, Place, Role};

use crate::shared::{Access, Mapping, Memory, page_bytes};

/// What outputs hold before a run: NaN in every float format, all ones in every integer.
pub const POISON: u8 = 0xFF;
/// What they hold before a repeat: an integer that is rightly all ones could not be told from one that was never
/// written, but it will not be right as both.
pub const OTHER_POISON: u8 = 0x5A;

/// Why an arena could not be made.
#[derive(Debug, Error)]
pub enum ArenaError {
    /// Sizes overflow.
    #[error("the buffers are larger than an address space")]
    TooLarge,
    /// The system refused.
    #[error("cannot share {bytes} bytes of memory")]
    Memory {
        /// Bytes asked for.
        bytes: usize,
        /// The system's answer.
        source: io::Error,
    },
}

/// Canary byte at `offset`: varied, so that neither a constant nor a copied row passes for it.
const fn canary(offset: usize) -> u8 {
    (offset as u8).wrapping_mul(31) ^ (offset >> 8) as u8 ^ 0xA5
}

/// A write outside a buffer's data, found after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardHit {
    /// Name of the buffer.
    pub buffer: String,
    /// The changed byte nearest to the data.
    pub place: Place,
}

/// The parent's side of an arena.
#[derive(Debug)]
pub struct Arena {
    memory: Memory,
    layout: Layout,
}

impl Arena {
    /// Buffers for `specs`, zeroed, with canaries around them.
    ///
    /// # Errors
    /// When they do not fit in memory.
    pub fn new(specs: &[BufferSpec]) -> Result<Self, ArenaError> {
        let reserved = Memory::reserve().map_err(|source| ArenaError::Memory { bytes: 0, source })?;
        Self::of(reserved, specs)
    }

    /// As [`Arena::new`], in memory that was reserved for a child that is there already.
    ///
    /// # Errors
    /// As [`Arena::new`].
    pub fn of(reserved: OwnedFd, specs: &[BufferSpec]) -> Result<Self, ArenaError> {
        let layout = Layout::new(specs, page_bytes()).ok_or(ArenaError::TooLarge)?;
        let memory = Memory::of(reserved, layout.bytes)
            .map_err(|source| ArenaError::Memory { bytes: layout.bytes, source })?;
        memory.populate();
        let mut arena = Self { memory, layout };
        for zone in arena.canary_zones().collect::<Vec<_>>() {
            for offset in zone {
                arena.memory.bytes_mut()[offset] = canary(offset);
            }
        }
        Ok(arena)
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The descriptor to hand to a child.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.memory.fd()
    }

    /// Data of buffer `index`. A child may change it while it serves a request, and only then.
    ///
    /// # Panics
    /// If there is no such buffer.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let buffer = &self.layout.buffers[index];
        &self.memory.bytes()[buffer.offset..buffer.end()]
    }

    /// Data of buffer `index`, to write.
    ///
    /// # Panics
    /// If there is no such buffer.
    pub fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        let buffer = &self.layout.buffers[index];
        let range = buffer.offset..buffer.end();
        &mut self.memory.bytes_mut()[range]
    }

    /// Fills every output with [`POISON`].
    pub fn poison_outputs(&mut self) {
        self.poison_outputs_with(POISON);
    }

    /// Fills every output with `poison`.
    pub fn poison_outputs_with(&mut self, poison: u8) {
        for index in 0..self.layout.buffers.len() {
            if self.layout.buffers[index].role == Role::Output {
                fill(self.bytes_mut(index), poison);
            }
        }
    }

    /// Writes outside the data of any buffer since the arena was made, one for each side hit.
    pub fn check_guards(&self) -> Vec<GuardHit> {
        self.layout.buffers.iter().flat_map(|buffer| self.hits(buffer)).collect()
    }

    fn hits<'a>(&'a self, buffer: &'a Buffer) -> impl Iterator<Item = GuardHit> + 'a {
        let hit = |offset: &usize| self.memory.bytes()[*offset] != canary(*offset);
        let before = (buffer.pages_start..buffer.offset).rev().find(hit);
        let after = (buffer.end()..buffer.pages_end).find(hit);
        let before = before.map(|offset| Place::Before(buffer.offset - offset));
        let after = after.map(|offset| Place::After(offset - buffer.end()));
        let hit = |place| GuardHit { buffer: buffer.name.clone(), place };
        before.into_iter().chain(after).map(hit)
    }

    fn canary_zones(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let zones = |buffer: &Buffer| [buffer.pages_start..buffer.offset, buffer.end()..buffer.pages_end];
        self.layout.buffers.iter().flat_map(zones)
    }
}

/// Threads that fill at most.
const MOST_THREADS: usize = 8;
/// Bytes that one thread fills at least.
const FILLED_AT_ONCE: usize = 8 << 20;

/// As `fill`, on several threads where there is much to fill.
fn fill(bytes: &mut [u8], byte: u8) {
    std::thread::scope(|scope| {
        let mut parts = bytes.chunks_mut(bytes.len().div_ceil(MOST_THREADS).max(FILLED_AT_ONCE));
        let first = parts.next();
        parts.for_each(|part| drop(scope.spawn(move || part.fill(byte))));
        first.into_iter().for_each(|part| part.fill(byte));
    });
}

/// Makes the pages of a mapped arena present, which costs less than a fault each.
pub fn populate(mapping: &Mapping, layout: &Layout) {
    for buffer in &layout.buffers {
        mapping.populate(buffer.pages_start, buffer.pages_end, access(buffer.role));
    }
}

const fn access(role: Role) -> Access {
    match role {
        Role::Input => Access::Read,
        Role::Output => Access::Write,
    }
}

/// Maps an inherited arena in the child: inputs to read, outputs to write, nothing else.
///
/// # Errors
/// When the descriptor is not an arena of this size.
pub fn map_inherited(fd: RawFd, layout: &Layout) -> io::Result<Mapping> {
    let mapping = Mapping::inherited(fd, layout.bytes, Access::None)?;
    for buffer in &layout.buffers {
        mapping.protect(buffer.pages_start, buffer.pages_end, access(buffer.role))?;
    }
    Ok(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena() -> Arena {
        let spec =
            |name: &str, role, elements| BufferSpec { name: name.into(), role, element_bytes: 4, elements };
        Arena::new(&[spec("x", Role::Input, 100), spec("y", Role::Output, 1000)]).unwrap()
    }

    #[test]
    fn outputs_are_poisoned_and_inputs_are_not() {
        let mut arena = arena();
        arena.poison_outputs();
        assert!(arena.bytes(0).iter().all(|byte| *byte == 0));
        assert!(arena.bytes(1).iter().all(|byte| *byte == POISON));
        assert_eq!(arena.check_guards(), []);
    }

    #[test]
    fn a_write_past_either_end_is_found() {
        let mut arena = arena();
        let (offset, end) = (arena.layout.buffers[1].offset, arena.layout.buffers[1].end());
        for hit in [offset - 4, end, end + 9] {
            arena.memory.bytes_mut()[hit] ^= 1;
        }
        let places: Vec<_> = arena.check_guards().into_iter().map(|hit| hit.place).collect();
        assert_eq!(places, [Place::Before(4), Place::After(0)]);
    }
}
