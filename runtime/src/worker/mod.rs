//! The worker: a process that runs candidate code for its parent.
//!
//! It serves the requests of [`protocol`] over the transport that the parent's `src/worker/process.rs`
//! describes. It holds no clock, no expected output and no verdict: those stay with the parent.

mod attach;
mod candidate;
mod conditions;
mod control;
mod device;
pub mod protocol;
mod renew;
mod signals;
mod stack;

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use control::{CONTROL_BYTES, CONTROL_FD, Control, LastSignal, Phase};

use crate::arena;
use crate::confine::{
    FIRST_FD, bind_all_threads, device_nodes, forbid_leaving, forbid_what_drivers_need, limit_address_space,
};
use crate::peaks;
use crate::shared::{Access, Mapping};
use attach::Attachment;
use candidate::Candidate;
use conditions::{Evictor, flush_denormals};
use device::OpenDevice;
use protocol::{Loaded, Opened, Refusal, RefusalKind, Request};

/// Exit status of a worker that could not serve.
pub const EXIT_INTERNAL: i32 = 70;

/// Serves the parent until it closes our standard input. Never returns.
pub fn main() -> ! {
    crate::gpu::keep();
    let error = start();
    // Into the parent's capture: a worker has no other place to say it.
    let _ = writeln!(io::stderr(), "kinstr worker: {error}");
    leave(EXIT_INTERNAL)
}

fn start() -> io::Error {
    let control = match Mapping::inherited(CONTROL_FD, CONTROL_BYTES, Access::Write) {
        Ok(mapping) => Box::leak(Box::new(mapping)),
        Err(error) => return error,
    };
    match Control::at(control) {
        Some(control) => stack::run_on_known_stack(control, serve_and_leave),
        None => io::ErrorKind::InvalidData.into(),
    }
}

fn serve_and_leave(control: &'static Control) -> ! {
    let served = signals::install(control).and_then(|()| Server::new(control).serve());
    if let Err(error) = &served {
        let _ = writeln!(io::stderr(), "kinstr worker: {error}");
    }
    leave(if served.is_ok() { 0 } else { EXIT_INTERNAL })
}

/// Ends the process at once: the candidate's exit handlers are not to run in our name.
fn leave(status: i32) -> ! {
    // SAFETY: _exit takes a number and does not return.
    unsafe { libc::_exit(status) }
}

#[derive(Deserialize)]
struct Envelope {
    nonce: String,
    #[serde(flatten)]
    request: Request,
}

#[derive(Serialize)]
struct Answer {
    nonce: String,
    #[serde(flatten)]
    result: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok(Value),
    Error(Refusal),
}

struct Server {
    control: &'static Control,
    candidate: Option<Candidate>,
    attachment: Option<Attachment>,
    evictor: Evictor,
    device: Option<OpenDevice>,
    /// What it could be kept from, once a candidate was to be loaded.
    confined: Option<Loaded>,
}

impl Server {
    fn new(control: &'static Control) -> Self {
        let evictor = Evictor::default();
        Self { control, candidate: None, attachment: None, evictor, device: None, confined: None }
    }

    fn serve(mut self) -> io::Result<()> {
        // SAFETY: the parent made descriptor 3 the reply channel, and nobody else here owns it. It is
        // never closed, because a candidate may have closed it, which only a failing write shows.
        let mut replies = ManuallyDrop::new(unsafe { File::from_raw_fd(FIRST_FD) });
        for line in io::stdin().lock().lines() {
            let envelope: Envelope = serde_json::from_str(&line?)?;
            let result = self.answer(envelope.request).map_or_else(Outcome::Error, Outcome::Ok);
            let mut reply = serde_json::to_vec(&Answer { nonce: envelope.nonce, result })?;
            reply.push(b'\n');
            replies.write_all(&reply)?;
        }
        Ok(())
    }

    fn answer(&mut self, request: Request) -> Result<Value, Refusal> {
        match request {
            Request::OpenDevice { ordinal, cores } => {
                let (device, shown) = OpenDevice::open(ordinal)?;
                self.device = Some(device);
                Ok(json!(Opened { shown, own_cores: cores.is_empty() || bind_all_threads(&cores) }))
            }
            Request::Load { library, entry, arguments, arena_fd, arena, memory } => {
                let mapping = arena::map_inherited(arena_fd, &arena)?;
                self.control.enter_arena(&mapping);
                let addresses = match &mut self.device {
                    // Tensors go to the device and back as a whole.
                    Some(device) => {
                        arena::populate(&mapping, &arena);
                        Some(device.gpu.mirror(&arena, memory)?)
                    }
                    None => None,
                };
                let confined = match self.confined {
                    Some(confined) => confined,
                    None => *self.confined.insert(confine(self.control, addresses.is_some(), memory)),
                };
                self.control.enter(Phase::Loading);
                let candidate = Candidate::load(&library, &entry, &arguments, mapping, &arena, addresses);
                self.control.enter(Phase::Own);
                self.attachment = None;
                self.candidate = Some(candidate?);
                if let Some(device) = &mut self.device {
                    device.gpu.run(0, || ())?;
                }
                Ok(json!(confined))
            }
            Request::Run { calls } => self.run(calls),
            Request::Upload { .. }
            | Request::Download
            | Request::TimeCalls { .. }
            | Request::Trace { .. }
            | Request::DevicePeaks { .. } => self.ask_device(request),
            Request::RunRenewed { calls, call, rotate } => self.run_renewed(calls, call, &rotate),
            Request::Attach { records_fd, bytes, mask } => {
                self.loaded()?;
                if let Some(device) = &mut self.device {
                    device.attach(records_fd, bytes, mask)?;
                    return Ok(Value::Null);
                }
                self.attachment = None;
                self.attachment = Some(Attachment::new(self.loaded()?, records_fd, bytes)?);
                Ok(Value::Null)
            }
            Request::Detach => {
                if let Some(device) = &mut self.device {
                    device.detach()?;
                }
                self.attachment = None;
                Ok(Value::Null)
            }
            Request::Evict => {
                let tensors = self.candidate.iter().flat_map(Candidate::tensors);
                self.evictor.evict(tensors).map(|()| Value::Null)
            }
            Request::FlushDenormals => flush_denormals().map(|()| Value::Null),
            Request::Peaks { device, date } => Ok(json!(peaks::measure(device, date)?)),
        }
    }

    fn run(&mut self, calls: u32) -> Result<Value, Refusal> {
        let Self { control, candidate: Some(candidate), attachment, device, .. } = self else {
            return Err(nothing_loaded());
        };
        control.enter(Phase::Running);
        let ran = match (device, attachment) {
            (Some(device), _) => device.gpu.run(calls, || candidate.run(1)),
            (None, Some(attachment)) => {
                attachment.record(calls, || candidate.run(calls));
                Ok(())
            }
            (None, None) => {
                candidate.run(calls);
                Ok(())
            }
        };
        // SAFETY: flushes every C stream, so that what the candidate printed is seen by now and is not
        // lost when the process is killed.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        control.enter(Phase::Own);
        ran?;
        Ok(Value::Null)
    }

    /// What only an open device can do.
    fn ask_device(&mut self, request: Request) -> Result<Value, Refusal> {
        let Some(device) = &mut self.device else {
            return Err(Refusal::new(RefusalKind::BadRequest, "no device is open"));
        };
        if let Request::DevicePeaks { date } = request {
            return device.peaks(date);
        }
        let candidate = self.candidate.as_mut().ok_or_else(nothing_loaded)?;
        device.answer(request, candidate, self.control)
    }

    fn run_renewed(&mut self, calls: u32, call: bool, rotate: &[usize]) -> Result<Value, Refusal> {
        let Self { control, candidate: Some(candidate), .. } = self else {
            return Err(nothing_loaded());
        };
        for _ in 0..calls {
            candidate.renewal(rotate).renew()?;
            if call {
                control.enter(Phase::Running);
                candidate.run(1);
                control.enter(Phase::Own);
            }
        }
        Ok(Value::Null)
    }

    fn loaded(&self) -> Result<&Candidate, Refusal> {
        self.candidate.as_ref().ok_or_else(nothing_loaded)
    }
}

/// Gives up what a candidate may not have, once a process.
fn confine(control: &Control, has_device: bool, memory: Option<u64>) -> Loaded {
    let gave_up = !has_device || forbid_what_drivers_need(&device_nodes());
    // A driver reserves address space by the size of the machine, so there is no limit for it. In this order: afterwards
    // no limit can be set.
    let memory_limited = memory.is_none_or(|memory| !has_device && limit_memory(control, memory));
    Loaded { confined_to_program: forbid_leaving() && gave_up, memory_limited }
}

/// Limits the address space to what is mapped now and `memory` bytes more. The worker does this itself,
/// because only it knows what it needed to get here.
fn limit_memory(control: &Control, memory: u64) -> bool {
    let limit = signals::address_space().map(|bytes| bytes.saturating_add(memory));
    let limited = limit.is_some_and(limit_address_space);
    if limited {
        control.address_space_limit.store(limit.unwrap_or(0), Relaxed);
    }
    limited
}

fn nothing_loaded() -> Refusal {
    Refusal::new(RefusalKind::BadRequest, "nothing is loaded")
}
