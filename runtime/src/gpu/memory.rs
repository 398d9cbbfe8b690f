//! Device memory that a candidate's host code allocates: limited, and guarded while its outputs are checked.

use std::collections::HashMap;

use super::driver::{self, Address, Stream};
use super::fault::DeviceFault;
use super::host::Host;

/// Bytes of guard on each side of an allocation that is checked. The driver aligns to 256 bytes, and so stays the data.
pub(super) const GUARD_BYTES: usize = 64 << 10;
/// What guards hold, four times.
pub(super) const GUARD_BYTE: u8 = 0xA5;
pub(super) const GUARD_WORD: u32 = u32::from_le_bytes([GUARD_BYTE; 4]);
/// What fresh memory holds: NaN in every float format.
const POISON: u8 = 0xFF;

/// All of a candidate's allocations.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Bytes it may hold at a time.
    pub limit: Option<u64>,
    /// Whether allocations from now on get guards, and are poisoned.
    pub guarded: bool,
    used: u64,
    blocks: HashMap<Address, Block>,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    bytes: usize,
    guarded: bool,
}

impl Host {
    /// Allocates for the candidate.
    pub(super) fn allocate(&mut self, bytes: usize, stream: Stream) -> Result<Address, DeviceFault> {
        let limit = self.memory.limit;
        let used = self.memory.used.saturating_add(bytes as u64);
        if limit.is_some_and(|limit| used > limit) {
            return Err(DeviceFault::OutOfMemory { bytes: bytes as u64, limit });
        }
        let guarded = self.memory.guarded;
        let allocated = self.lane(stream).and_then(|(stream, _)| {
            if !guarded {
                return driver::allocate_on(stream, bytes);
            }
            let rounded = bytes.next_multiple_of(4);
            let start = driver::allocate_on(stream, rounded + 2 * GUARD_BYTES)?;
            driver::fill_on(stream, start, GUARD_BYTE, rounded + 2 * GUARD_BYTES)?;
            let data = start + GUARD_BYTES as u64;
            driver::fill_on(stream, data, POISON, bytes)?;
            Ok(data)
        });
        let address = allocated.map_err(|error| match self.fault_of(error) {
            DeviceFault::OutOfMemory { .. } => DeviceFault::OutOfMemory { bytes: bytes as u64, limit: None },
            other => other,
        })?;
        self.memory.used = used;
        self.memory.blocks.insert(address, Block { bytes, guarded });
        Ok(address)
    }

    /// Frees what [`Host::allocate`] gave; null is nothing.
    pub(super) fn free(&mut self, address: Address, stream: Stream) -> Result<(), DeviceFault> {
        if address == 0 {
            return Ok(());
        }
        let Some(block) = self.memory.blocks.remove(&address) else {
            let message = format!("the host code frees {address:#x}, which it did not allocate");
            return Err(DeviceFault::Unsupported { message });
        };
        self.memory.used -= block.bytes as u64;
        let (stream, _) = self.lane(stream).map_err(|error| self.fault_of(error))?;
        if !block.guarded {
            return driver::free_on(stream, address).map_err(|error| self.fault_of(error));
        }
        let before = self.check_guards(address, block.bytes, stream).map_err(|error| self.fault_of(error))?;
        driver::free_on(stream, address - GUARD_BYTES as u64).map_err(|error| self.fault_of(error))?;
        match before {
            Some(before) => Err(DeviceFault::Overrun { bytes: block.bytes as u64, before }),
            None => Ok(()),
        }
    }

    /// Whether memory before (`true`) or after an allocation was written to. Bytes that round it up to a word are not
    /// looked at.
    fn check_guards(&self, data: Address, bytes: usize, stream: Stream) -> driver::Result<Option<bool>> {
        let words = (GUARD_BYTES / 4) as u64;
        let found = driver::allocate_on(stream, 16)?;
        driver::fill_on(stream, found, 0xFF, 16)?;
        let sides = [data - GUARD_BYTES as u64, data + bytes.next_multiple_of(4) as u64];
        for (side, out) in sides.into_iter().zip([found, found + 8]) {
            self.kernels.deviates(stream, side, GUARD_WORD, words, out)?;
        }
        stream.synchronize()?;
        let mut firsts = [0; 16];
        driver::copy_out(&mut firsts, found)?;
        driver::free_on(stream, found)?;
        let hit = |at: usize| firsts[at..at + 8] != [0xFF; 8];
        Ok(if hit(0) { Some(true) } else { hit(8).then_some(false) })
    }
}
