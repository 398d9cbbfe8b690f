//! NVIDIA GPUs: the host runtime that compiled host code calls, and what the worker asks of a device beside it.
//!
//! | file | what it does |
//! |---|---|
//! | `driver` | the CUDA driver's functions, each once |
//! | `facts`, `fault` | what a device is, and what can go wrong on it |
//! | `host`, `memory`, `log` | streams, modules, launches and allocations of the candidate; what it asked for |
//! | `exports` | the `mgpu*` functions, by which MLIR's host code reaches them |
//! | `mirror` | tensors in device memory, with guards |
//! | `units`, `recording` | which warps record where, and the records' way back |
//! | `timing` | times of single calls |
//! | `kernels` | kinstr's own kernels |
//! | `nvml` | clocks, temperature, and what slows a device down |

mod driver;
mod exports;
mod facts;
mod fault;
mod host;
mod kernels;
mod log;
mod memory;
mod mirror;
mod nvml;
mod peaks;
mod recording;
mod timing;
mod units;

use kinstr_trace::device::{DeviceFacts, DevicePeaks};
use serde::{Deserialize, Serialize};

pub(crate) use exports::keep;
pub use fault::DeviceFault;
pub use log::Activity;
pub use mirror::Trespass;
pub use nvml::state;
pub use peaks::loops;
pub use timing::CallTimes;
pub use units::OWN_UNITS;

use crate::arena::{Buffer, Layout, POISON};
use crate::shared::Mapping;
use driver::Event;
use host::{Host, lock};
use log::Log;
use mirror::Mirror;
use timing::Flusher;

type Answer<T> = Result<T, DeviceFault>;

/// A device as the driver shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its number.
    pub ordinal: u32,
    /// Name, unit and driver, as peaks are kept by.
    pub identity: String,
    /// Limits.
    pub facts: DeviceFacts,
}

/// The devices that the driver shows. Makes no context, and loads the driver into this process.
///
/// # Errors
/// [`DeviceFault::NoDriver`] or `NoDevice`.
pub fn devices() -> Answer<Vec<Shown>> {
    (0..facts::count()?)
        .map(|ordinal| {
            let device = facts::Device::look(ordinal)?;
            Ok(Shown { ordinal, identity: device.identity(), facts: device.facts })
        })
        .collect()
}

/// The device of this process, open until the process ends.
#[derive(Debug)]
pub(crate) struct Gpu {
    mirror: Option<Mirror>,
    flusher: Option<Flusher>,
    begin: Event,
    /// Counts renewals, so that none has the content of the one before.
    renewed: usize,
    /// Launches of the last call, by which units are shared out.
    launches: u32,
}

impl Gpu {
    /// Opens device `ordinal`, and sees that it runs a kernel.
    pub(crate) fn open(ordinal: u32) -> Answer<(Self, Shown)> {
        let host = Host::open(ordinal)?;
        let begin = Event::new().map_err(|error| host.fault_of(error))?;
        host.try_out()?;
        let shown = Shown { ordinal, identity: host.device.identity(), facts: host.facts().clone() };
        *lock() = Some(host);
        Ok((Self { mirror: None, flusher: None, begin, renewed: 0, launches: 1 }, shown))
    }

    /// Device memory for the buffers of `layout`, in place of what there was, of which the candidate may allocate `limit` bytes more: the addresses
    /// of their data.
    pub(crate) fn mirror(&mut self, layout: &Layout, limit: Option<u64>) -> Answer<Vec<u64>> {
        let before = self.mirror.take();
        let mirror = on(|host| {
            if let Some(before) = before {
                before.free().map_err(|error| host.fault_of(error))?;
            }
            host.memory.limit = limit;
            host.forget_kernels();
            host.mirror(layout)
        })?;
        let addresses = mirror.addresses();
        self.mirror = Some(mirror);
        Ok(addresses)
    }

    /// Copies inputs of the arena to the device, if `inputs` says so, and poisons outputs there. What the candidate
    /// allocates until [`Gpu::download`] is guarded.
    pub(crate) fn upload(&mut self, arena: &Mapping, inputs: bool, poison: u8) -> Answer<()> {
        let mirror = self.mirrored()?;
        on(|host| {
            host.memory.guarded = true;
            // SAFETY: the layout's pages lie inside the mapping, and both roles may be read; the parent does not write
            // while it waits for our answer.
            let pages = |buffer: &Buffer| unsafe {
                std::slice::from_raw_parts(arena.address().add(buffer.pages_start), page_bytes_of(buffer))
            };
            mirror.upload(host, pages, inputs, poison).map_err(|error| host.fault_of(error))
        })
    }

    /// Copies outputs to the arena, and answers where a kernel wrote that it should not have.
    pub(crate) fn download(&mut self, arena: &Mapping) -> Answer<Vec<Trespass>> {
        let mirror = self.mirrored()?;
        on(|host| {
            host.memory.guarded = false;
            host.finish()?;
            // SAFETY: the layout's pages lie inside the mapping, those of outputs may be written, and each is borrowed
            // once at a time.
            let pages = |buffer: &Buffer| unsafe {
                let start = arena.address().add(buffer.pages_start);
                std::slice::from_raw_parts_mut(start, page_bytes_of(buffer))
            };
            mirror.download(host, pages).map_err(|error| host.fault_of(error))
        })
    }

    /// Does `calls` calls of `entry`, and waits for the device. They are recorded if recording is on.
    pub(crate) fn run(&mut self, calls: u32, mut entry: impl FnMut()) -> Answer<()> {
        on(|host| {
            host.launches = 0;
            host.begin_recorded()
        })?;
        (0..calls).for_each(|_| entry());
        on(|host| {
            host.finish()?;
            if let Some(launches) = host.launches.checked_div(calls) {
                self.launches = launches.max(1);
            }
            host.end_recorded(calls)
        })
    }

    /// As [`Gpu::run`], and answers what the calls asked of the device.
    pub(crate) fn trace(&mut self, calls: u32, entry: impl FnMut()) -> Answer<Activity> {
        on(|host| {
            host.log = Some(Log::begin());
            Ok(())
        })?;
        let ran = self.run(calls, entry);
        on(|host| {
            let log = host.log.take();
            ran?;
            {
                let ended = match log {
                    Some(log) => host.resources().and_then(|kernels| log.end(calls, kernels)),
                    None => Ok(Activity::default()),
                };
                ended.map_err(|error| host.fault_of(error))
            }
        })
    }

    /// Data addresses of a second set of tensors; `None` if there is no room for them.
    pub(crate) fn second(&mut self) -> Answer<Option<Vec<u64>>> {
        let mirror = self.mirror.as_mut().ok_or_else(nothing_mirrored)?;
        on(|host| mirror.second().map_err(|error| host.fault_of(error)))
    }

    /// Times `calls` calls, each on renewed tensors and with the L2 cache overwritten; without `entry` what surrounds
    /// them is done alone. `entry` is told whether to take the second set of tensors, if there is one. The last call finds
    /// the inputs that were uploaded, in their place.
    pub(crate) fn time(
        &mut self,
        calls: u32,
        rotate: &[usize],
        second: Option<&[u64]>,
        mut entry: Option<&mut dyn FnMut(bool)>,
    ) -> Answer<CallTimes> {
        let home = self.mirrored()?.addresses();
        let mut times = CallTimes { fresh_addresses: second.is_some(), ..CallTimes::default() };
        on(|host| {
            host.rehearse(true);
            Ok(())
        })?;
        for call in 0..calls {
            let is_last = call + 1 == calls;
            let other = second.filter(|_| !is_last && call % 2 == 0);
            self.renewed += 1;
            let places = if is_last { 0 } else { self.renewed };
            self.begin_call(other.unwrap_or(&home), rotate, places)?;
            if let Some(entry) = &mut entry {
                entry(other.is_some());
            }
            let took = on(Host::end_call)?;
            times.device_ns.push(took);
        }
        times.launches = on(|host| {
            host.rehearse(false);
            Ok(host.launches)
        })?;
        Ok(times)
    }

    fn begin_call(&mut self, data: &[u64], rotate: &[usize], places: usize) -> Answer<()> {
        let begin = self.begin;
        let Self { mirror, flusher, .. } = self;
        let mirror = mirror.as_ref().ok_or_else(nothing_mirrored)?;
        on(|host| {
            let flusher = match flusher {
                Some(flusher) => flusher,
                None => {
                    let made = Flusher::new(host.facts().l2_bytes).map_err(|error| host.fault_of(error))?;
                    flusher.insert(made)
                }
            };
            mirror.renew(host, data, rotate, places, POISON).map_err(|error| host.fault_of(error))?;
            host.begin_call(flusher, begin)
        })
    }

    /// Makes device modules record from now on, into memory like the host's `records`.
    pub(crate) fn attach(&mut self, records: &Mapping, mask: u32) -> Answer<()> {
        let launches = self.launches;
        // SAFETY: the whole mapping may be read, and the parent does not write while it waits for our answer.
        let memory = unsafe { std::slice::from_raw_parts(records.address(), records.len()) };
        on(|host| host.attach(memory, mask, launches))
    }

    /// Ends recording, and copies what was recorded to `records`.
    pub(crate) fn detach(&mut self, records: &Mapping) -> Answer<()> {
        // SAFETY: the whole mapping may be written, and the parent does not look while it waits for our answer.
        let memory = unsafe { std::slice::from_raw_parts_mut(records.address(), records.len()) };
        on(|host| host.detach(memory))
    }

    /// Pins memory that records come back to. Without it they come, only slower.
    pub(crate) fn pin(&self, records: &Mapping) -> bool {
        driver::pin(records.address(), records.len()).is_ok()
    }

    /// Measures what the device can do at best.
    pub(crate) fn peaks(&self, date: String) -> Answer<DevicePeaks> {
        on(|host| peaks::measure(host, date))
    }

    fn mirrored(&self) -> Answer<&Mirror> {
        self.mirror.as_ref().ok_or_else(nothing_mirrored)
    }
}

fn page_bytes_of(buffer: &Buffer) -> usize {
    buffer.pages_end - buffer.pages_start
}

fn nothing_mirrored() -> DeviceFault {
    DeviceFault::Refused { message: "no tensors are on the device".into() }
}

/// Does something with the process's runtime. Not while host code of the candidate runs, which locks it itself.
fn on<T>(body: impl FnOnce(&mut Host) -> Answer<T>) -> Answer<T> {
    match lock().as_mut() {
        Some(host) => body(host),
        None => Err(DeviceFault::Refused { message: "no device was opened".into() }),
    }
}
