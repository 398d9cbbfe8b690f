//! The processes of an evaluation on a GPU: one for the clean build, one for the timing build, and one for all others in turn. Each
//! serves all workloads, and is kept from stage to stage.
//!
//! A process takes 0.2 s to open a device and 0.07 s to let go of it (H100, driver 580), one after the other where several do, and
//! for a process a build and workload that is most of an evaluation. These open it while the first inputs are made and
//! checked, and end together.

use super::{
    super::{
        arguments::{arguments, for_threads},
        failure::Stop,
        session::Session,
    },
    calibrate,
    records::{OBSERVING, Sharing, record_memory, record_spec},
};
use crate::{
    builds::{Build, Builds},
    reference::buffer_specs,
    worker::{Fault, Limits, Setup, Worker, fault::InfrastructureFault},
};
use kinstr_runtime::{arena::Arena, gpu, records::RecordSpec, shared::Memory};
use std::{io, os::fd::OwnedFd, time::Duration};

/// What a process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// The clean build: checked, timed, and timed against.
    Clean,
    /// The counting build.
    Counting,
    /// The observing build.
    Observing,
    /// The timing build with all sites.
    Timing,
    /// The timing build with sites that fit the overhead budget.
    Chosen,
    /// The build that records event by event.
    Timeline,
    /// The kernel by which the cost of a probe is measured.
    Calibration,
}

/// Device memory of a process that does nothing: what the driver and kinstr's own kernels take (H100, driver 580), rounded up.
const IDLE_BYTES: u64 = 1 << 30;
/// Sets of tensors that a process holds at most: two of inputs or outputs each, and what inputs are compared with.
const SETS: u64 = 3;
/// Processes there may be at a time, references included.
const PROCESSES: u64 = 5;
/// Part of a device's memory that processes may take which wait.
const SHARE: u64 = 4;
/// Stages that a process serves at most, each of which may take a candidate's whole time.
const STAGES: u32 = 4;

/// The processes that wait for something to do.
#[derive(Debug, Default)]
pub struct Crew {
    /// Memory of each workload's tensors; empty if no process is kept.
    arenas: Vec<OwnedFd>,
    waiting: Vec<(Duty, Worker)>,
    /// Whether all were started.
    complete: bool,
}

impl Crew {
    /// Makes the tensors of all workloads and starts the process of the clean build, if the device has room for processes
    /// that wait; elsewhere each is started when it is needed and ends after it.
    ///
    /// # Errors
    /// When there is no memory for tensors.
    pub fn gather(session: &mut Session<'_>, builds: &Builds) -> Result<(), Stop> {
        if !has_room(session) || !session.crew.arenas.is_empty() {
            return Ok(());
        }
        let system = |error| Fault::from(InfrastructureFault::System(error));
        let reserved = reserve(session.arenas.len()).map_err(system)?;
        let (shared, reserved): (Vec<_>, Vec<_>) = reserved.into_iter().unzip();
        session.crew.arenas = shared;
        Self::enlist(session, Duty::Clean, builds, &builds.manifest.clean);
        // It opens its device while the system clears the tensors' memory.
        for (workload, memory) in reserved.into_iter().enumerate() {
            session.blank[workload] = Some(Arena::of(memory, &buffer_specs(&session.problem, workload))?);
        }
        Ok(())
    }

    /// Starts the others, once: opening a device keeps other processes from opening it, and the first ones are waited for.
    pub fn complete(session: &mut Session<'_>, builds: &Builds) {
        if session.crew.arenas.is_empty() || std::mem::replace(&mut session.crew.complete, true) {
            return;
        }
        // The management library takes its time to begin, too. What it says of the device now is of no use.
        let ordinal = session.site.ordinal().unwrap_or_default();
        std::thread::spawn(move || drop(gpu::state(ordinal)));
        let manifest = &builds.manifest;
        let calibration = calibrate::build(session).ok();
        let aside = [
            (Duty::Counting, manifest.counting.build()),
            (Duty::Observing, manifest.observing.build()),
            (Duty::Timeline, manifest.timeline.build()),
            (Duty::Calibration, calibration.as_ref().and_then(|builds| builds.manifest.timing.build())),
        ];
        let bytes =
            |(duty, build): &(Duty, &Build)| duty.spec(build).ok().flatten().and_then(|spec| spec.bytes());
        let aside = aside.into_iter().filter_map(|(duty, build)| Some((duty, build?))).max_by_key(bytes);
        let timing = manifest.timing.build().map(|build| (Duty::Timing, build));
        for (duty, build) in aside.into_iter().chain(timing) {
            Self::enlist(session, duty, builds, build);
        }
    }

    /// Starts a process. If it cannot be, the stage that needs it tries again, and says why.
    fn enlist(session: &mut Session<'_>, duty: Duty, builds: &Builds, build: &Build) {
        if let Ok(worker) = session.recruit(duty, builds.manifest.threads, build, None) {
            session.crew.give_back(duty, worker);
        }
    }

    /// Waits until all have opened their devices, lest they disturb what is timed. One that failed to is gone.
    pub fn settle(&mut self) {
        self.waiting.retain_mut(|(_, worker)| worker.settle().is_ok());
    }

    /// Makes all end, and does not wait until the system has cleaned up after them; dropping them does.
    pub fn dismiss(&mut self) {
        self.waiting.iter_mut().for_each(|(_, worker)| worker.kill());
    }

    fn take(&mut self, duty: Duty) -> Option<Worker> {
        let place = self.waiting.iter().position(|(post, _)| *post == duty.post())?;
        Some(self.waiting.swap_remove(place).1)
    }

    /// Takes a process back whose work is done. Where none are kept it ends.
    pub fn give_back(&mut self, duty: Duty, worker: Worker) {
        if !self.arenas.is_empty() {
            self.waiting.push((duty.post(), worker));
        }
    }
}

impl Session<'_> {
    /// A process with `build` on the tensors of `arena`, those of `workload`. Give it back to the crew.
    ///
    /// # Errors
    /// When it cannot be started, or does not load the library.
    pub fn hire(
        &mut self,
        duty: Duty,
        builds: &Builds,
        build: &Build,
        workload: usize,
        arena: &Arena,
    ) -> Result<Worker, Fault> {
        let mut worker = self.turned_to(duty, builds, build, Some(arena))?;
        let (library, arguments) = (builds.library(build), arguments(builds, &self.problem, workload, arena));
        if self.crew.arenas.is_empty() {
            worker.load(&library, &arguments)?;
        } else {
            worker.load_on(workload, arena, &library, &arguments)?;
        }
        Ok(worker)
    }

    /// The process that calibrates, with `build`, which takes no arguments.
    ///
    /// # Errors
    /// As [`Session::hire`].
    pub fn hire_calibrator(&mut self, builds: &Builds, build: &Build) -> Result<Worker, Fault> {
        let mut worker = self.turned_to(Duty::Calibration, builds, build, None)?;
        worker.load(&builds.library(build), &[])?;
        Ok(worker)
    }

    /// The process that is there for `duty`, or a new one, ready to load `build`.
    fn turned_to(
        &mut self,
        duty: Duty,
        builds: &Builds,
        build: &Build,
        arena: Option<&Arena>,
    ) -> Result<Worker, Fault> {
        if let Some(mut worker) = self.crew.take(duty)
            && worker.turn_to(duty.spec(build)?, self.request_limit(duty))
        {
            return Ok(worker);
        }
        self.recruit(duty, builds.manifest.threads, build, arena)
    }

    /// Time that a request may take.
    fn request_limit(&self, duty: Duty) -> Duration {
        let request = self.limits().request;
        if duty == Duty::Observing { request.min(OBSERVING) } else { request }
    }

    /// Starts a process, and does not wait until its device is open.
    fn recruit(
        &self,
        duty: Duty,
        threads: u32,
        build: &Build,
        arena: Option<&Arena>,
    ) -> Result<Worker, Fault> {
        let none = Arena::new(&[]).map_err(InfrastructureFault::Arena)?;
        let records = duty.spec(build)?.map(record_memory).transpose()?;
        let (limits, request) = (self.limits(), self.request_limit(duty));
        let served = STAGES.saturating_mul(u32::try_from(self.arenas.len()).unwrap_or(u32::MAX));
        let [cpu, wall] = [limits.cpu, limits.wall].map(|time| time.saturating_mul(served));
        let limits = for_threads(Limits { request, cpu, wall, ..limits }, threads, records.as_ref());
        let others = &self.crew.arenas;
        Worker::begin(Setup { limits, arena: arena.unwrap_or(&none), others, records, program: None })
    }
}

impl Duty {
    /// The duty by which its process is known: builds that are not timed against others share one.
    fn post(self) -> Self {
        match self {
            Self::Counting | Self::Observing | Self::Timeline | Self::Calibration => Self::Counting,
            other => other,
        }
    }

    /// Shape of the memory that its build records into, if it records.
    fn spec(self, build: &Build) -> Result<Option<RecordSpec>, Fault> {
        build.sites.as_ref().map(|sites| record_spec(sites, self.sharing())).transpose()
    }

    /// How the warps of its build find their units.
    fn sharing(self) -> Sharing {
        match self {
            Self::Counting | Self::Observing => Sharing::Shared,
            Self::Chosen => Sharing::Few,
            _ => Sharing::Own,
        }
    }
}

/// Memory for `count` arenas whose sizes nobody has to know yet, each twice: for processes, and for the arena.
pub fn reserve(count: usize) -> io::Result<Vec<(OwnedFd, OwnedFd)>> {
    let reserve = |_| {
        let memory = Memory::reserve()?;
        Ok((memory.try_clone()?, memory))
    };
    (0..count).map(reserve).collect()
}

/// Whether processes that wait take a small part of the device's memory.
fn has_room(session: &Session<'_>) -> bool {
    let Some(device) = &session.site.device else { return false };
    let bytes = |workload| {
        let buffers = buffer_specs(&session.problem, workload);
        buffers.iter().map(|buffer| (buffer.elements * buffer.element_bytes) as u64).sum::<u64>()
    };
    let tensors = (0..session.arenas.len()).map(bytes).max().unwrap_or(0);
    PROCESSES * (IDLE_BYTES + SETS * tensors) <= device.facts.memory_bytes / SHARE
}

impl Drop for Crew {
    /// Together they end as soon as one does alone.
    fn drop(&mut self) {
        self.dismiss();
    }
}
