//! A worker that runs a compiled candidate.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kinstr_runtime::arena::{Arena, Layout, Place};
use kinstr_runtime::confine::Measure;
use kinstr_runtime::gpu::{Activity, CallTimes, OWN_UNITS, Shown, Trespass};
use kinstr_runtime::records::{RecordMemory, RecordSpec};
use kinstr_runtime::shared::Memory;
use kinstr_runtime::worker::protocol::{Argument, ENTRY_SYMBOL, Loaded, Opened, Request};
use kinstr_runtime::worker::{CONTROL_BYTES, CONTROL_FD, Control};
use kinstr_trace::device::DevicePeaks;
use kinstr_trace::peaks::Peaks;
use serde_json::Value;

use super::capture::Printed;
use super::classify::{Scene, classify_refusal};
use super::death::{Death, WorkerError};
use super::fault::{CandidateFault, Fault, InfrastructureFault, InternalFault};
use super::limits::Limits;
use super::process::{FIRST_EXTRA_FD, Process};
use super::reply::Reply;

/// Number of the arena's descriptor in a worker; the control page comes before it.
const ARENA_FD: i32 = CONTROL_FD + 1;
const _: () = assert!(CONTROL_FD == FIRST_EXTRA_FD);
/// Name of the measure that keeps a worker from running other programs, which it takes itself.
pub(super) const OWN_PROGRAM_ONLY: &str = "own-program-only";
/// What a started worker runs: the program we are.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// What a worker is given.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Limits on its process.
    pub limits: Limits,
    /// Tensors of one workload.
    pub arena: &'a Arena,
    /// Memory of further arenas, on which a candidate can be loaded too.
    pub others: &'a [OwnedFd],
    /// Where an instrumented candidate records.
    pub records: Option<RecordMemory>,
    /// The `kinstr` program, if it is not the one that runs.
    pub program: Option<&'a Path>,
}

/// A process that runs a compiled candidate. It is killed when dropped.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    control: Memory,
    /// Of the arena that the candidate is loaded on.
    layout: Layout,
    /// Of the arena that it was started with.
    first_layout: Layout,
    /// Number of the record memory's descriptor in the worker, behind those of the arenas.
    records_fd: i32,
    records: Option<RecordMemory>,
    limits: Limits,
    tainted: bool,
    isolation: Vec<&'static str>,
    /// The GPU it opened.
    device: Option<Shown>,
    /// Whether it is still opening it.
    opening: bool,
}

impl Worker {
    /// Starts a worker, and opens its device if it has one. It dies with the calling thread.
    ///
    /// # Errors
    /// When no process can be started, or there is no such device.
    pub fn start(setup: Setup<'_>) -> Result<Self, Fault> {
        let mut worker = Self::begin(setup)?;
        worker.settle()?;
        Ok(worker)
    }

    /// As [`Worker::start`], and does not wait for the device: the first request does.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn begin(setup: Setup<'_>) -> Result<Self, Fault> {
        let Setup { limits, arena, others, records, program } = setup;
        let program = program.unwrap_or(Path::new(THIS_PROGRAM));
        let control = Memory::new(CONTROL_BYTES).map_err(WorkerError::Memory).map_err(start_failed)?;
        let layout = arena.layout().clone();
        let mut fds: Vec<BorrowedFd<'_>> = vec![control.fd(), arena.fd()];
        fds.extend(others.iter().map(AsFd::as_fd));
        let records_fd = CONTROL_FD + fds.len() as i32;
        fds.extend(records.as_ref().map(RecordMemory::fd));
        let mut command = Command::new(program);
        command.arg0("kinstr").arg("worker").env_clear();
        // Libraries that a candidate was linked against may be found by it.
        command.envs(std::env::vars_os().filter(|(name, _)| name == "LD_LIBRARY_PATH"));
        // Idle threads spin for a millisecond and then sleep: longer, and they would disturb whoever runs in turns
        // with them.
        command.env("OMP_NUM_THREADS", limits.cores.max(1).to_string()).env("KMP_BLOCKTIME", "1");
        if limits.device.is_some() {
            // Which devices there are, and what debugs them, is the user's to say.
            command.envs(std::env::vars_os().filter(|(name, _)| is_for_cuda(name)));
            // Nothing of a kernel is to be loaded when it is timed, and nothing written to a home.
            command.env("CUDA_MODULE_LOADING", "EAGER").env("CUDA_CACHE_DISABLE", "1");
        }
        // The worker limits its memory itself when it loads a candidate.
        let unlimited = Limits { memory: None, ..limits };
        // Drivers take long to start and use many threads: it goes to its cores when its device is open.
        let unlimited = if limits.device.is_some() { unlimited.on_any_core() } else { unlimited };
        let process = Process::spawn(command, unlimited, &fds).map_err(start_failed)?;
        let isolation = process.isolation().to_vec();
        let opening = limits.device.is_some();
        let mut worker = Self {
            process,
            control,
            first_layout: layout.clone(),
            layout,
            records_fd,
            records,
            limits,
            tainted: false,
            isolation,
            device: None,
            opening,
        };
        if let Some(ordinal) = limits.device {
            worker.post(&Request::OpenDevice { ordinal, cores: limits.own_cores() })?;
        }
        Ok(worker)
    }

    /// Waits until the device is open.
    ///
    /// # Errors
    /// When there is no such device, or it cannot be opened.
    pub fn settle(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.opening) {
            let answer = self.process.answer();
            let opened: Opened = understood(self.reply(answer)?.0)?;
            self.isolation.extend((!opened.own_cores).then(|| Measure::OwnCores.name()));
            self.device = Some(opened.shown);
        }
        Ok(())
    }

    /// The GPU it opened.
    pub fn device(&self) -> Option<&Shown> {
        self.device.as_ref()
    }

    /// Loads a candidate's library and binds the arguments of its entry, [`ENTRY_SYMBOL`].
    ///
    /// # Errors
    /// When it cannot be loaded, or its constructors misbehave.
    pub fn load(&mut self, library: &Path, arguments: &[Argument]) -> Result<(), Fault> {
        self.layout = self.first_layout.clone();
        self.load_at(ARENA_FD, library, arguments)
    }

    /// As [`Worker::load`], on the arena whose memory is number `other` of the further ones. What was loaded before gives
    /// its tensors up.
    ///
    /// # Errors
    /// As [`Worker::load`].
    pub fn load_on(
        &mut self,
        other: usize,
        arena: &Arena,
        library: &Path,
        arguments: &[Argument],
    ) -> Result<(), Fault> {
        self.layout = arena.layout().clone();
        self.load_at(ARENA_FD + 1 + other as i32, library, arguments)
    }

    fn load_at(&mut self, arena_fd: i32, library: &Path, arguments: &[Argument]) -> Result<(), Fault> {
        let first = !std::mem::replace(&mut self.tainted, true);
        let request = Request::Load {
            library: library.to_owned(),
            entry: ENTRY_SYMBOL.to_owned(),
            arguments: arguments.to_vec(),
            arena_fd,
            arena: self.layout.clone(),
            memory: self.limits.memory,
        };
        let (loaded, _) = self.ask(&request)?;
        let loaded: Loaded = understood(loaded)?;
        let own = [
            (loaded.confined_to_program, OWN_PROGRAM_ONLY),
            (loaded.memory_limited, Measure::MemoryLimit.name()),
        ];
        self.isolation.extend(own.into_iter().filter(|(done, _)| first && !done).map(|(_, name)| name));
        Ok(())
    }

    /// Calls the candidate `calls` times, and answers how long the request took by our clock. Zero
    /// calls measure what a request costs by itself.
    ///
    /// # Errors
    /// When the candidate does not return from all of them.
    pub fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
        self.ask(&Request::Run { calls }).map(|(_, took)| took)
    }

    /// Moves the elements of the inputs `rotate` by one place and poisons the outputs before each of `calls` calls; the
    /// time is that of all of it, and without `call` of the renewing alone. Inputs are left moved.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn run_renewed(&mut self, calls: u32, call: bool, rotate: &[usize]) -> Result<Duration, Fault> {
        self.ask(&Request::RunRenewed { calls, call, rotate: rotate.to_vec() }).map(|(_, took)| took)
    }

    /// Overwrites the caches of the worker's core, so that the next run finds them cold.
    ///
    /// # Errors
    /// When the worker's memory limit has no room for what they are overwritten with.
    pub fn evict(&mut self) -> Result<(), Fault> {
        self.ask(&Request::Evict).map(drop)
    }

    /// Makes denormal numbers zero from the next run on.
    ///
    /// # Errors
    /// On a processor where that is not known how.
    pub fn flush_denormals(&mut self) -> Result<(), Fault> {
        self.ask(&Request::FlushDenormals).map(drop)
    }

    /// Makes the record memory one for `spec`, for a library that is loaded next; requests may take `request` from now on.
    /// `false` if the memory is too small.
    pub fn turn_to(&mut self, spec: Option<RecordSpec>, request: Duration) -> bool {
        self.limits.request = request;
        match (&mut self.records, spec) {
            (_, None) => true,
            (Some(records), Some(spec)) => records.reshape(spec),
            (None, Some(_)) => false,
        }
    }

    /// Empties the record memory, and makes the candidate record into it from the next run on.
    ///
    /// # Errors
    /// When the library was built without probes, or no record memory was given.
    pub fn attach(&mut self) -> Result<(), Fault> {
        self.attach_with(OWN_UNITS)
    }

    /// As [`Worker::attach`]; on a GPU, `mask` says whether warps share units, as the record layout has it.
    ///
    /// # Errors
    /// As [`Worker::attach`].
    pub fn attach_with(&mut self, mask: u32) -> Result<(), Fault> {
        let records = self.records.as_mut().ok_or_else(no_records)?;
        match self.device {
            // Units are made on the device.
            Some(_) => records.clear_header(),
            None => records.clear(),
        }
        let request = Request::Attach { records_fd: self.records_fd, bytes: records.bytes(), mask };
        self.ask(&request).map(drop)
    }

    /// Runs the candidate once on the tensors of `arena`, whose outputs hold `poison` before; a device gets them and
    /// gives them back.
    ///
    /// # Errors
    /// As [`Worker::run`], and when a kernel wrote to an input or beside a tensor.
    pub fn run_on(&mut self, arena: &mut Arena, poison: u8) -> Result<Duration, Fault> {
        arena.poison_outputs_with(poison);
        if self.device.is_none() {
            return self.run(1);
        }
        self.upload(true, poison)?;
        let took = self.run(1)?;
        self.download()?;
        Ok(took)
    }

    /// As [`Worker::run_on`] on the inputs that the last run was on: a device has them still, and it was seen there that
    /// none had changed.
    ///
    /// # Errors
    /// As [`Worker::run_on`].
    pub fn run_again(&mut self, arena: &mut Arena, poison: u8) -> Result<Duration, Fault> {
        arena.poison_outputs_with(poison);
        if self.device.is_none() {
            return self.run(1);
        }
        self.upload(false, poison)?;
        let took = self.run(1)?;
        self.download()?;
        Ok(took)
    }

    /// Copies the arena's inputs to the device, if they have changed; outputs there hold `poison` afterwards.
    ///
    /// # Errors
    /// When the device fails.
    pub fn upload(&mut self, inputs: bool, poison: u8) -> Result<(), Fault> {
        self.ask(&Request::Upload { inputs, poison }).map(drop)
    }

    /// Copies outputs from the device to the arena.
    ///
    /// # Errors
    /// When a kernel wrote to an input or beside a tensor, or the device fails.
    pub fn download(&mut self) -> Result<(), Fault> {
        let (found, _) = self.ask(&Request::Download)?;
        let found: Vec<Trespass> = understood(found)?;
        match found.first() {
            Some(trespass) => Err(trespassed(&self.layout, trespass).into()),
            None => Ok(()),
        }
    }

    /// Times `calls` calls on the device, each on renewed tensors and with the cache overwritten; without `call`, what
    /// surrounds them alone. The duration is the parent's, of all of it. Inputs named in `rotate` may be moved by
    /// elements; the last call finds them as they are.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn time_calls(
        &mut self,
        calls: u32,
        call: bool,
        rotate: &[usize],
    ) -> Result<(CallTimes, Duration), Fault> {
        let (times, took) = self.ask(&Request::TimeCalls { calls, call, rotate: rotate.to_vec() })?;
        Ok((understood(times)?, took))
    }

    /// What `calls` calls ask of the device.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn trace(&mut self, calls: u32) -> Result<Activity, Fault> {
        let (activity, _) = self.ask(&Request::Trace { calls })?;
        understood(activity)
    }

    /// Peaks of the device.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn device_peaks(&mut self, date: &str) -> Result<DevicePeaks, Fault> {
        let (peaks, _) = self.ask(&Request::DevicePeaks { date: date.to_owned() })?;
        understood(peaks)
    }

    /// Ends recording, and answers the record file of all runs since [`Worker::attach`].
    ///
    /// # Errors
    /// When the worker has ended.
    pub fn detach(&mut self) -> Result<Vec<u8>, Fault> {
        self.ask(&Request::Detach)?;
        self.records.as_ref().map(RecordMemory::file).ok_or_else(no_records)
    }

    /// The record file of `calls` calls, after one call that is not recorded.
    ///
    /// # Errors
    /// As [`Worker::attach`] and [`Worker::run`].
    pub fn record(&mut self, calls: u32) -> Result<Vec<u8>, Fault> {
        self.run(1)?;
        self.attach()?;
        self.run(calls)?;
        self.detach()
    }

    /// Peaks of this machine, measured in the worker.
    ///
    /// # Errors
    /// On a processor for which there are no loops to measure with.
    pub(crate) fn peaks(&mut self, device: &str, date: &str) -> Result<Peaks, Fault> {
        let request = Request::Peaks { device: device.to_owned(), date: date.to_owned() };
        let (peaks, _) = self.ask(&request)?;
        understood(peaks)
    }

    /// What the candidate printed on standard output so far.
    pub fn stdout(&self) -> &Printed {
        self.process.stdout()
    }

    /// What the candidate printed on standard error so far.
    pub fn stderr(&self) -> &Printed {
        self.process.stderr()
    }

    /// Names of the confining measures that this machine did not let us apply.
    pub fn isolation(&self) -> &[&'static str] {
        &self.isolation
    }

    /// Process id, also of its process group.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it, and does not wait until the system has cleaned up after it; dropping it does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    fn ask(&mut self, request: &Request) -> Result<(Value, Duration), Fault> {
        self.settle()?;
        self.post(request)?;
        let answer = self.process.answer();
        self.reply(answer)
    }

    fn post(&mut self, request: &Request) -> Result<(), Fault> {
        let request =
            serde_json::to_value(request).map_err(|error| InternalFault::Refused(error.to_string()))?;
        let posted = self.process.post(&request, self.limits.request);
        posted.map_err(|death| self.classify(death))
    }

    fn reply(&self, answer: Result<(Reply, Duration), Death>) -> Result<(Value, Duration), Fault> {
        match answer {
            Ok((reply, took)) => Ok((reply.done().map_err(classify_refusal)?, took)),
            Err(death) => Err(self.classify(death)),
        }
    }

    /// Whose fault a death is.
    fn classify(&self, death: Death) -> Fault {
        let Some(control) = Control::of(&self.control) else { return InternalFault::AlreadyEnded.into() };
        let scene = Scene {
            control,
            layout: &self.layout,
            limits: self.limits,
            tainted: self.tainted,
            last_words: self.process.stderr().last_line(),
            panicked: self.process.stderr().text().contains(" panicked at "),
        };
        scene.classify(death)
    }
}

/// Where a kernel wrote, as the candidate's fault.
fn trespassed(layout: &Layout, trespass: &Trespass) -> CandidateFault {
    let Some(buffer) = layout.buffers.get(trespass.buffer) else {
        return CandidateFault::InvalidAccess;
    };
    let (name, bytes) = (buffer.name.clone(), buffer.bytes as i64);
    let place = match trespass.offset {
        offset if offset < 0 => Place::Before(offset.unsigned_abs() as usize),
        offset if offset >= bytes => Place::After((offset - bytes) as usize),
        offset => return CandidateFault::WritesInput { buffer: name, offset: offset as usize },
    };
    CandidateFault::OutOfBounds { buffer: name, place, writing: true }
}

/// Variables that say which devices the driver shows.
fn is_for_cuda(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CUDA_") || name.starts_with("NVIDIA_")
}

fn start_failed(error: WorkerError) -> Fault {
    InfrastructureFault::Start(error).into()
}

fn no_records() -> Fault {
    InternalFault::Refused("the worker was given no record memory".into()).into()
}

/// The worker is this very program, so an answer that does not parse is the candidate's doing or ours.
fn understood<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Fault> {
    serde_json::from_value(value).map_err(|error| InternalFault::Refused(error.to_string()).into())
}
