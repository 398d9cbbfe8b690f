//! Renewed tensors: what makes a call do all of its work.
//!
//! A kernel that keeps results from call to call, or finds its outputs written already, is fast as long as nothing
//! changes. Here inputs move by one element and outputs are poisoned before every call, in this process, so that the caches
//! are as warm as in calls in a row.

use std::io;

use crate::arena::{Buffer, Layout, POISON, Role};
use crate::shared::{Access, Mapping};

/// The tensors of a loaded candidate.
pub(super) struct Renewal<'a> {
    arena: &'a Mapping,
    outputs: Vec<&'a Buffer>,
    rotated: Vec<&'a Buffer>,
}

impl<'a> Renewal<'a> {
    /// `rotate` are the indices of the inputs whose elements may change places.
    pub(super) fn new(arena: &'a Mapping, layout: &'a Layout, rotate: &[usize]) -> Self {
        let outputs = layout.buffers.iter().filter(|buffer| buffer.role == Role::Output);
        let rotated = rotate.iter().filter_map(|index| layout.buffers.get(*index));
        let rotated =
            rotated.filter(|buffer| buffer.role == Role::Input && buffer.bytes > buffer.element_bytes);
        Self { arena, outputs: outputs.collect(), rotated: rotated.collect() }
    }

    /// Moves every rotated input by one element, and poisons the outputs.
    pub(super) fn renew(&self) -> io::Result<()> {
        for buffer in &self.rotated {
            self.arena.protect(buffer.pages_start, buffer.pages_end, Access::Write)?;
            // SAFETY: the layout lies inside the mapping, which is writable here as of the line above, and no
            // reference to it exists in this process.
            unsafe { &mut *self.data(buffer) }.rotate_left(buffer.element_bytes);
            self.arena.protect(buffer.pages_start, buffer.pages_end, Access::Read)?;
        }
        for buffer in &self.outputs {
            // SAFETY: as above; outputs are always writable.
            unsafe { &mut *self.data(buffer) }.fill(POISON);
        }
        Ok(())
    }

    fn data(&self, buffer: &Buffer) -> *mut [u8] {
        let start = self.arena.address().wrapping_add(buffer.offset);
        std::ptr::slice_from_raw_parts_mut(start, buffer.bytes)
    }
}
