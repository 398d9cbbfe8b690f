//! Record memory: what an instrumented kernel writes, seen from the parent.

use std::io;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;

use kinstr_trace::layout::{
    Aggregate, Keep, MAGIC, Mode, STATE_BYTES, StateHeader, UNIT_HEADER_BYTES, UnitHeader, mode_number,
    offset, record_mask,
};

use crate::shared::Memory;

/// Shape of a record memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSpec {
    /// Sites in the module.
    pub site_count: u32,
    /// Words of all sites together, in each unit.
    pub word_count: u64,
    /// Records per unit in trace mode, a power of two if the last ones are kept; 0 in aggregate mode.
    pub record_capacity: u64,
    /// Which records a full buffer keeps, in trace mode.
    pub keep: Keep,
    /// Units there is room for: threads, on a CPU.
    pub unit_capacity: u32,
    /// How probes record.
    pub mode: Mode,
    /// First 32 bytes of the digest of the module's `SiteTable`.
    pub site_digest: [u8; 32],
}

impl RecordSpec {
    /// Bytes of the memory: the header, the units, and one unit more, which takes what threads
    /// without a unit write. `None` if they cannot be counted.
    pub fn bytes(&self) -> Option<usize> {
        let units = u64::from(self.unit_capacity).checked_add(1)?.checked_mul(self.unit_stride())?;
        usize::try_from(units.checked_add(STATE_BYTES)?).ok()
    }

    fn unit_stride(&self) -> u64 {
        offset::unit_stride(self.site_count, self.word_count, self.record_capacity)
    }
}

/// Memory that a worker records into.
#[derive(Debug)]
pub struct RecordMemory {
    spec: RecordSpec,
    memory: Memory,
}

impl RecordMemory {
    /// Empty memory for `spec`.
    ///
    /// # Errors
    /// When it does not fit in memory, or is a ring whose size is not a power of two.
    pub fn new(spec: RecordSpec) -> io::Result<Self> {
        if spec.keep == Keep::Last && !spec.record_capacity.is_power_of_two() {
            return Err(io::Error::other(format!("a ring of {} records", spec.record_capacity)));
        }
        let bytes = spec.bytes().ok_or(io::ErrorKind::OutOfMemory)?;
        let mut records = Self { spec, memory: Memory::new(bytes)? };
        records.clear();
        Ok(records)
    }

    /// Makes it a memory for `spec`, without records; `false`, and nothing changes, if there is no room for that.
    pub fn reshape(&mut self, spec: RecordSpec) -> bool {
        if spec.bytes().is_none_or(|bytes| bytes > self.bytes()) {
            return false;
        }
        self.spec = spec;
        self.clear();
        true
    }

    /// The descriptor to hand to a worker.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.memory.fd()
    }

    /// Bytes in all.
    pub fn bytes(&self) -> usize {
        self.memory.bytes().len()
    }

    /// All of it, as a worker sees it.
    pub fn memory(&self) -> &[u8] {
        self.memory.bytes()
    }

    /// Makes all of it present, so that a device's records need no page fault each when they come.
    pub fn populate(&self) {
        self.memory.populate();
    }

    /// Forgets that there are records, and leaves the units as they are: for a worker that writes all of each unit.
    pub fn clear_header(&mut self) {
        let (spec, stride) = (self.spec.clone(), self.spec.unit_stride());
        let state = &mut self.memory.bytes_mut()[..STATE_BYTES as usize];
        state.fill(0);
        write_header(state, &spec, stride);
    }

    /// Forgets all records. A worker must attach afterwards, or its threads keep their old units.
    pub fn clear(&mut self) {
        let (spec, stride) = (self.spec.clone(), self.spec.unit_stride());
        let used = self.spec.bytes().unwrap_or(usize::MAX).min(self.bytes());
        let bytes = &mut self.memory.bytes_mut()[..used];
        bytes.fill(0);
        let (state, units) = bytes.split_at_mut(STATE_BYTES as usize);
        write_header(state, &spec, stride);
        let mask = record_mask(spec.keep, spec.record_capacity);
        for (id, unit) in (0_u32..).zip(units.chunks_exact_mut(stride as usize)) {
            put(unit, offset_of!(UnitHeader, unit_id), &id.to_le_bytes());
            put(unit, offset_of!(UnitHeader, record_capacity), &spec.record_capacity.to_le_bytes());
            put(unit, offset_of!(UnitHeader, record_mask), &mask.to_le_bytes());
            for site in 0..spec.site_count {
                let min = offset::aggregate(site) as usize + offset_of!(Aggregate, min);
                put(unit, min, &u64::MAX.to_le_bytes());
            }
        }
    }

    /// The record file: the memory up to the last used unit, with the addresses, which mean nothing
    /// outside the worker, set to zero.
    pub fn file(&self) -> Vec<u8> {
        let used = offset_of!(StateHeader, units_used);
        let memory = self.memory.bytes();
        let mut count = [0; 4];
        count.copy_from_slice(&memory[used..used + 4]);
        // The candidate shares this memory and may have written anything.
        let units = u32::from_le_bytes(count).min(self.spec.unit_capacity);
        let end = STATE_BYTES as usize + units as usize * self.spec.unit_stride() as usize;
        let mut file = memory[..end].to_vec();
        put(&mut file, offset_of!(StateHeader, attach), &[0; 8]);
        put(&mut file, offset_of!(StateHeader, units), &[0; 8]);
        put(&mut file, used, &units.to_le_bytes());
        file
    }
}

/// A header that tells of no records, into zeroed bytes.
fn write_header(state: &mut [u8], spec: &RecordSpec, stride: u64) {
    state[..MAGIC.len()].copy_from_slice(&MAGIC);
    put(state, offset_of!(StateHeader, unit_stride), &stride.to_le_bytes());
    put(state, offset_of!(StateHeader, unit_capacity), &spec.unit_capacity.to_le_bytes());
    put(state, offset_of!(StateHeader, site_count), &spec.site_count.to_le_bytes());
    put(state, offset_of!(StateHeader, word_count), &spec.word_count.to_le_bytes());
    put(state, offset_of!(StateHeader, record_capacity), &spec.record_capacity.to_le_bytes());
    put(state, offset_of!(StateHeader, mode), &mode_number(spec.mode, spec.keep).to_le_bytes());
    put(state, offset_of!(StateHeader, site_digest), &spec.site_digest);
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

const _: () = assert!(UNIT_HEADER_BYTES as usize == size_of::<UnitHeader>());

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RecordSpec {
        RecordSpec {
            site_count: 3,
            word_count: 5,
            record_capacity: 4,
            keep: Keep::First,
            unit_capacity: 2,
            mode: Mode::Trace,
            site_digest: [7; 32],
        }
    }

    fn memory() -> RecordMemory {
        RecordMemory::new(spec()).unwrap()
    }

    #[test]
    fn a_ring_has_its_mask_and_a_size_it_fits() {
        let ring = RecordSpec { keep: Keep::Last, ..spec() };
        let records = RecordMemory::new(ring.clone()).unwrap();
        assert_eq!(records.file()[offset_of!(StateHeader, mode)], 2);
        let mask = STATE_BYTES as usize + offset_of!(UnitHeader, record_mask);
        assert_eq!(records.memory.bytes()[mask..mask + 8], 3_u64.to_le_bytes());
        assert!(RecordMemory::new(RecordSpec { record_capacity: 5, ..ring }).is_err());
    }

    #[test]
    fn an_unused_memory_makes_a_file_of_its_header() {
        let file = memory().file();
        assert_eq!(file.len(), STATE_BYTES as usize);
        assert_eq!(file[..8], MAGIC);
        assert_eq!(file[offset_of!(StateHeader, mode)], 1);
    }

    #[test]
    fn a_wild_unit_count_is_cut_to_the_capacity() {
        let mut records = memory();
        put(records.memory.bytes_mut(), offset_of!(StateHeader, units_used), &[0xFF; 4]);
        put(records.memory.bytes_mut(), offset_of!(StateHeader, units), &[1; 8]);
        let file = records.file();
        assert_eq!(file.len() as u64, STATE_BYTES + 2 * offset::unit_stride(3, 5, 4));
        assert_eq!(file[offset_of!(StateHeader, units_used)], 2);
        assert_eq!(file[offset_of!(StateHeader, units)], 0);
        let min = STATE_BYTES as usize + offset::aggregate(2) as usize + offset_of!(Aggregate, min);
        assert_eq!(file[min..min + 8], [0xFF; 8]);
    }
}
