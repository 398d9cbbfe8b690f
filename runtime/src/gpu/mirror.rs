//! The tensors of a workload in device memory, laid out as in the arena, with guards around.
//!
//! ```text
//! guard │ … │ canary … │ data │ canary … │ guard
//! ```
//! Canaries are the arena's own, copied there and back with the data, so that the parent checks them as on the CPU; the
//! guards beyond are checked on the device. Of inputs a second copy is kept to compare with.

use serde::{Deserialize, Serialize};

use super::driver::{self, Address};
use super::fault::DeviceFault;
use super::host::Host;
use super::memory::{GUARD_BYTE, GUARD_WORD};
use crate::arena::{Buffer, Layout, Role};

/// Bytes of guard on each side of a buffer.
const GUARD: u64 = 1 << 20;
/// Alignment of data: a multiple of every line and sector there is, as the driver's own allocations have it.
const ALIGNMENT: u64 = 512;

/// A place that a kernel wrote to and should not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trespass {
    /// Index of the buffer.
    pub buffer: usize,
    /// Bytes from the start of its data; negative before it.
    pub offset: i64,
}

/// One tensor in device memory.
#[derive(Debug, Clone)]
struct Tensor {
    /// Start and bytes of the allocation.
    base: Address,
    bytes: u64,
    /// Start of the data.
    data: Address,
    /// Bytes of canary before the data; with them and those behind it begins and ends what is mirrored.
    front: u64,
    mirrored: u64,
    /// Copy of what is mirrored, of an input.
    pristine: Option<Address>,
}

/// The tensors of a workload on the device.
#[derive(Debug)]
pub(super) struct Mirror {
    layout: Layout,
    tensors: Vec<Tensor>,
    /// Data of tensors for every second timed call, once there are some.
    second: Option<Vec<Address>>,
    /// Where checks leave what they found: three numbers a buffer.
    found: Address,
}

impl Host {
    /// Device memory for the buffers of `layout`.
    pub(super) fn mirror(&mut self, layout: &Layout) -> Result<Mirror, DeviceFault> {
        let tensors = layout.buffers.iter().map(|buffer| self.place(buffer)).collect::<Result<_, _>>()?;
        let found = driver::allocate(24 * layout.buffers.len()).map_err(|error| self.fault_of(error))?;
        Ok(Mirror { layout: layout.clone(), tensors, second: None, found })
    }

    fn place(&self, buffer: &Buffer) -> Result<Tensor, DeviceFault> {
        let front = (buffer.offset - buffer.pages_start) as u64;
        let mirrored = (buffer.pages_end - buffer.pages_start) as u64;
        let lead = GUARD + front.next_multiple_of(ALIGNMENT);
        let bytes = lead - front + mirrored + GUARD;
        let base = self.allocate_tensor(bytes)?;
        let pristine = match buffer.role {
            Role::Input => Some(self.allocate_tensor(mirrored)?),
            Role::Output => None,
        };
        driver::fill_on(self.work, base, GUARD_BYTE, bytes as usize).map_err(|error| self.fault_of(error))?;
        Ok(Tensor { base, bytes, data: base + lead, front, mirrored, pristine })
    }

    fn allocate_tensor(&self, bytes: u64) -> Result<Address, DeviceFault> {
        driver::allocate(bytes as usize).map_err(|error| match self.fault_of(error) {
            DeviceFault::OutOfMemory { .. } => DeviceFault::NoRoom { bytes },
            other => other,
        })
    }
}

impl Mirror {
    /// Gives the memory back.
    pub(super) fn free(self) -> driver::Result<()> {
        let tensors = self.tensors.iter().flat_map(|tensor| [Some(tensor.base), tensor.pristine]);
        let addresses = tensors.flatten().chain(self.second.iter().flatten().copied()).chain([self.found]);
        addresses.into_iter().try_for_each(driver::free)
    }

    /// Data addresses of the tensors that are copied to and from the arena.
    pub(super) fn addresses(&self) -> Vec<Address> {
        self.tensors.iter().map(|tensor| tensor.data).collect()
    }

    /// Copies inputs to the device; outputs get their canaries, and `poison` as data. `pages` gives a buffer's pages in
    /// the arena.
    pub(super) fn upload<'a>(
        &self,
        host: &Host,
        pages: impl Fn(&Buffer) -> &'a [u8],
        inputs: bool,
        poison: u8,
    ) -> driver::Result<()> {
        for (buffer, tensor) in self.layout.buffers.iter().zip(&self.tensors) {
            let start = tensor.data - tensor.front;
            let pages = pages(buffer);
            let (front, end) = (tensor.front as usize, tensor.front as usize + buffer.bytes);
            match tensor.pristine {
                Some(pristine) if inputs => {
                    driver::copy_in(pristine, pages)?;
                    driver::copy_within_on(host.work, start, pristine, tensor.mirrored as usize)?;
                }
                Some(_) => {}
                None => {
                    driver::copy_in(start, &pages[..front])?;
                    driver::copy_in(tensor.data + buffer.bytes as u64, &pages[end..])?;
                    driver::fill_on(host.work, tensor.data, poison, buffer.bytes)?;
                }
            }
        }
        host.work.synchronize()
    }

    /// Copies outputs and their canaries to the arena, and answers where a kernel wrote that it should not have:
    /// the first place in each input and each guard.
    ///
    /// `pages` gives an output's pages in the arena.
    pub(super) fn download<'a>(
        &self,
        host: &Host,
        mut pages: impl FnMut(&Buffer) -> &'a mut [u8],
    ) -> driver::Result<Vec<Trespass>> {
        let trespasses = self.trespasses(host)?;
        for (buffer, tensor) in self.layout.buffers.iter().zip(&self.tensors) {
            if tensor.pristine.is_none() {
                driver::copy_out(pages(buffer), tensor.data - tensor.front)?;
            }
        }
        Ok(trespasses)
    }

    fn trespasses(&self, host: &Host) -> driver::Result<Vec<Trespass>> {
        let bytes = 24 * self.tensors.len();
        driver::fill_on(host.work, self.found, 0xFF, bytes)?;
        for (tensor, found) in self.tensors.iter().zip((self.found..).step_by(24)) {
            let (start, end) = tensor.mirror();
            let check = |from: Address, to: Address, found| {
                host.kernels.deviates(host.work, from, GUARD_WORD, (to - from) / 4, found)
            };
            check(tensor.base, start, found)?;
            if let Some(pristine) = tensor.pristine {
                host.kernels.differs(host.work, [start, pristine], tensor.mirrored / 4, found + 8)?;
            }
            check(end, tensor.base + tensor.bytes, found + 16)?;
        }
        host.work.synchronize()?;
        let mut firsts = vec![0; bytes];
        driver::copy_out(&mut firsts, self.found)?;
        let number =
            |chunk: &[u8]| chunk.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let firsts: Vec<u64> = firsts.chunks_exact(8).map(number).collect();
        let of = |(index, tensor): (usize, &Tensor)| {
            let (start, end) = tensor.mirror();
            // What lies within the tensor tells most.
            let places = [(1, start), (0, tensor.base), (2, end)];
            let hit = places.into_iter().find(|(check, _)| firsts[3 * index + check] != u64::MAX)?;
            let address = hit.1 + 4 * firsts[3 * index + hit.0];
            Some(Trespass { buffer: index, offset: address.wrapping_sub(tensor.data) as i64 })
        };
        Ok(self.tensors.iter().enumerate().filter_map(of).collect())
    }

    /// Data addresses of a second set of tensors, made if there are none yet; `None` if there is no room.
    pub(super) fn second(&mut self) -> driver::Result<Option<Vec<Address>>> {
        if self.second.is_none() {
            let mut made = Vec::new();
            for buffer in &self.layout.buffers {
                match driver::allocate(buffer.bytes) {
                    Ok(address) => made.push(address),
                    Err(error) if error.code == driver::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                        made.into_iter().try_for_each(driver::free)?;
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                }
            }
            self.second = Some(made);
        }
        Ok(self.second.clone())
    }

    /// Writes new content to the tensors at `data`: inputs moved by `places` elements if they are to be `rotated`, and
    /// poisoned outputs. In the order of kinstr's own stream.
    pub(super) fn renew(
        &self,
        host: &Host,
        data: &[Address],
        rotated: &[usize],
        places: usize,
        poison: u8,
    ) -> driver::Result<()> {
        for (index, ((buffer, tensor), data)) in
            self.layout.buffers.iter().zip(&self.tensors).zip(data).enumerate()
        {
            let Some(pristine) = tensor.pristine else {
                driver::fill_on(host.work, *data, poison, buffer.bytes)?;
                continue;
            };
            if buffer.bytes == 0 {
                continue;
            }
            let from = pristine + tensor.front;
            let moved = match rotated.contains(&index) {
                true => (places * buffer.element_bytes) % buffer.bytes,
                false => 0,
            };
            driver::copy_within_on(host.work, *data, from + moved as u64, buffer.bytes - moved)?;
            if moved > 0 {
                driver::copy_within_on(host.work, *data + (buffer.bytes - moved) as u64, from, moved)?;
            }
        }
        Ok(())
    }
}

impl Tensor {
    /// Start and end of what is mirrored.
    fn mirror(&self) -> (Address, Address) {
        let start = self.data - self.front;
        (start, start + self.mirrored)
    }
}
