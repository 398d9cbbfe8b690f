//! Recording on a device: state and units in its memory, and the way back to the host.

use std::collections::HashMap;
use std::mem::offset_of;

use kinstr_trace::layout::{Keep, MAGIC, STATE_BYTES, StateHeader, mode_of, offset, record_mask};

use super::driver::{self, Address, Event, Stream};
use super::fault::DeviceFault;
use super::host::Host;
use super::kernels::Blank;
use super::units::{Grant, Units};

/// Memory on the device that instrumented kernels record into.
#[derive(Debug)]
pub(super) struct Recording {
    /// The units.
    memory: Address,
    bytes: usize,
    stride: u64,
    units: Units,
    /// The same before any launch.
    rehearsed: Units,
    /// A module has one launch header, so that launches on several streams go one after the other: the stream of the last
    /// one, and an event to wait for it by.
    last: Option<Stream>,
    order: Event,
    /// What the launch header of each module's state holds.
    written: HashMap<Address, Grant>,
    /// Units that every launch is given anew, while calls are timed whose records nobody reads.
    rehearsal: Option<Units>,
    /// Clock and timer at the beginning, once it has begun.
    begun: Option<[u64; 2]>,
    ended: [u64; 2],
    calls: u32,
    /// Where stamps are written.
    stamps: Address,
}

/// What a record memory's header says, as far as the device must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    stride: u64,
    capacity: u32,
    sites: u32,
    records: u64,
    mask: u64,
}

impl Head {
    /// Reads the header that the parent wrote at the start of `memory`; `None` if it is none.
    fn read(memory: &[u8]) -> Option<Self> {
        let long = |at: usize| Some(u64::from_le_bytes(memory.get(at..at + 8)?.try_into().ok()?));
        let word = |at: usize| Some(u32::from_le_bytes(memory.get(at..at + 4)?.try_into().ok()?));
        if memory.get(..MAGIC.len())? != MAGIC {
            return None;
        }
        let (_, keep) = mode_of(word(offset_of!(StateHeader, mode))?)?;
        let records = long(offset_of!(StateHeader, record_capacity))?;
        let head = Self {
            stride: long(offset_of!(StateHeader, unit_stride))?,
            capacity: word(offset_of!(StateHeader, unit_capacity))?,
            sites: word(offset_of!(StateHeader, site_count))?,
            records,
            mask: record_mask(if records == 0 { Keep::First } else { keep }, records),
        };
        let end = u64::from(head.capacity).checked_mul(head.stride)?.checked_add(STATE_BYTES)?;
        (head.stride >= offset::words(head.sites) && end <= memory.len() as u64).then_some(head)
    }

    fn bytes(&self) -> usize {
        (STATE_BYTES + u64::from(self.capacity) * self.stride) as usize
    }
}

impl Host {
    /// Makes every module that can record do so from now on, into device memory like the host's `memory`. `mask` says
    /// whether warps share units; units are for about `launches` launches.
    pub(super) fn attach(&mut self, memory: &[u8], mask: u32, launches: u32) -> Result<(), DeviceFault> {
        self.forget_recording()?;
        let states = self.states();
        if states.is_empty() {
            let message = "no device module has `__kinstr_state`: it was built without probes".to_owned();
            return Err(DeviceFault::Unsupported { message });
        }
        let head = Head::read(memory)
            .ok_or_else(|| DeviceFault::Refused { message: "this is no record memory".into() })?;
        let mut recording = self.prepare(&head).map_err(|error| self.fault_of(error))?;
        recording.units = Units::new(head.capacity, mask, launches);
        recording.rehearsed = recording.units.clone();
        let mut header = memory[..STATE_BYTES as usize].to_vec();
        put(&mut header, offset_of!(StateHeader, units), &recording.memory.to_le_bytes());
        for state in states {
            driver::copy_in(state, &header).map_err(|error| self.fault_of(error))?;
        }
        self.recording = Some(recording);
        Ok(())
    }

    fn prepare(&self, head: &Head) -> driver::Result<Recording> {
        let bytes = head.bytes() - STATE_BYTES as usize;
        // The driver allocates no 0 bytes.
        let memory = driver::allocate(bytes.max(1))?;
        driver::fill_on(self.work, memory, 0, bytes)?;
        let blank = Blank {
            units: memory,
            stride: head.stride,
            count: head.capacity,
            sites: head.sites,
            capacity: head.records,
            mask: head.mask,
        };
        self.kernels.blank(self.work, &blank)?;
        self.work.synchronize()?;
        Ok(Recording {
            memory,
            bytes,
            stride: head.stride,
            units: Units::new(0, 0, 1),
            rehearsed: Units::new(0, 0, 1),
            last: None,
            order: Event::new()?,
            written: HashMap::new(),
            rehearsal: None,
            begun: None,
            ended: [0; 2],
            calls: 0,
            stamps: driver::allocate(16)?,
        })
    }

    /// Says whether calls from now on are timed, and their records not read.
    pub(super) fn rehearse(&mut self, rehearse: bool) {
        if let Some(recording) = &mut self.recording {
            recording.rehearse(rehearse);
        }
    }

    /// Notes the clocks before calls that are recorded.
    pub(super) fn begin_recorded(&mut self) -> Result<(), DeviceFault> {
        let now = self.stamp()?;
        if let (Some(recording), Some(now)) = (&mut self.recording, now) {
            recording.begun.get_or_insert(now);
        }
        Ok(())
    }

    /// Notes the clocks after `calls` calls that were recorded.
    pub(super) fn end_recorded(&mut self, calls: u32) -> Result<(), DeviceFault> {
        let now = self.stamp()?;
        if let (Some(recording), Some(now)) = (&mut self.recording, now) {
            recording.ended = now;
            recording.calls = recording.calls.saturating_add(calls);
        }
        Ok(())
    }

    /// Clock and timer now, if anything records.
    fn stamp(&self) -> Result<Option<[u64; 2]>, DeviceFault> {
        let Some(recording) = &self.recording else { return Ok(None) };
        let mut bytes = [0; 16];
        let read = || {
            self.kernels.stamp(self.work, recording.stamps)?;
            self.work.synchronize()?;
            driver::copy_out(&mut bytes, recording.stamps)
        };
        let mut read = read;
        read().map_err(|error| self.fault_of(error))?;
        let half = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        Ok(Some([half(0), half(8)]))
    }

    /// Ends recording, and copies what was recorded to the host's `memory`.
    pub(super) fn detach(&mut self, memory: &mut [u8]) -> Result<(), DeviceFault> {
        self.finish()?;
        if let Some(recording) = &self.recording {
            recording.copy_out(memory).map_err(|error| self.fault_of(error))?;
        }
        self.forget_recording()
    }

    fn forget_recording(&mut self) -> Result<(), DeviceFault> {
        let Some(recording) = self.recording.take() else { return Ok(()) };
        let freed = || {
            for state in self.states() {
                driver::copy_in(state, &[0; STATE_BYTES as usize])?;
            }
            driver::free(recording.memory)?;
            driver::free(recording.stamps)?;
            recording.order.destroy()
        };
        freed().map_err(|error| self.fault_of(error))
    }
}

impl Recording {
    /// Gives the next launch its units, in the order of the stream's work; `state` is that of the kernel's module.
    pub(super) fn begin_launch(
        &mut self,
        state: Option<Address>,
        stream: Stream,
        blocks: u64,
        warps: u32,
    ) -> driver::Result<Grant> {
        let grant = match &self.rehearsal {
            Some(units) => units.clone().grant(blocks, warps),
            None => self.units.grant(blocks, warps),
        };
        if let Some(last) = self.last.replace(stream).filter(|last| *last != stream) {
            self.order.record(last)?;
            stream.wait_for(self.order)?;
        }
        // Where units are shared, or a module's launches are all alike, there is nothing to write again.
        let rehearsed = self.rehearsal.is_some();
        let is_there = |written: &Grant| *written == grant || rehearsed && written.serves(&grant);
        if let Some(state) = state.filter(|state| !self.written.get(state).is_some_and(is_there)) {
            driver::copy_in_on(stream, state + offset::STATE_LAUNCH, &grant.bytes())?;
            self.written.insert(state, grant);
        }
        Ok(grant)
    }

    /// From now on every launch gets the units that the first one got, or no longer does; and of a module with several kernels
    /// each gets the header of the one with the most blocks. Writing a launch header takes the device some µs, and belongs
    /// to recording, not to the probes.
    pub(super) fn rehearse(&mut self, rehearse: bool) {
        self.rehearsal = rehearse.then(|| self.rehearsed.clone());
    }

    /// The units that were handed out, and a header that tells of them, without addresses.
    fn copy_out(&self, memory: &mut [u8]) -> driver::Result<()> {
        let used = self.units.used();
        let (head, units) = memory.split_at_mut(STATE_BYTES as usize);
        let end = ((u64::from(used) * self.stride) as usize).min(self.bytes).min(units.len());
        let units = &mut units[..end];
        if !units.is_empty() {
            driver::copy_out(units, self.memory)?;
        }
        put(head, offset_of!(StateHeader, attach), &[0; 16]);
        put(head, offset_of!(StateHeader, units_used), &used.to_le_bytes());
        put(head, offset_of!(StateHeader, units_refused), &self.units.refused().to_le_bytes());
        put(head, offset_of!(StateHeader, launches), &self.calls.to_le_bytes());
        let [clock, global] = self.begun.unwrap_or_default();
        put(head, offset_of!(StateHeader, clock_begin), &clock.to_le_bytes());
        put(head, offset_of!(StateHeader, global_begin), &global.to_le_bytes());
        put(head, offset_of!(StateHeader, clock_end), &self.ended[0].to_le_bytes());
        put(head, offset_of!(StateHeader, global_end), &self.ended[1].to_le_bytes());
        Ok(())
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

const _: () = assert!(offset_of!(StateHeader, units) == offset_of!(StateHeader, attach) + 8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{RecordMemory, RecordSpec};
    use kinstr_trace::layout::Mode;

    #[test]
    fn a_header_of_the_parents_is_read_and_anything_else_refused() {
        let spec = RecordSpec {
            site_count: 2,
            word_count: 1,
            record_capacity: 0,
            keep: Keep::First,
            unit_capacity: 5,
            mode: Mode::Aggregate,
            site_digest: [0; 32],
        };
        let file = RecordMemory::new(spec).unwrap();
        let memory = file.memory();
        let head = Head::read(memory).unwrap();
        assert_eq!((head.capacity, head.sites, head.stride % 128, head.mask), (5, 2, 0, u64::MAX));
        assert_eq!(head.bytes() as u64, STATE_BYTES + 5 * head.stride);
        assert_eq!(Head::read(&memory[..head.bytes() - 1]), None);
        assert_eq!(Head::read(&[0; 4096]), None);
    }
}
