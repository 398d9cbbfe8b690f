//! Confinement of a child process: what it may use, write and reach.
//!
//! Everything is applied between `fork` and `exec`, so that not one instruction of the child runs
//! unconfined. A measure the machine does not offer (an old kernel, a container that forbids it) does
//! not stop the child: it is named in [`Applied::missing`], which the report repeats.

mod files;
mod filter;
mod limits;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

pub use filter::{forbid_leaving, leaving_program};
pub use limits::limit_address_space;

/// First file descriptor handed to the child; 0 to 2 are its standard streams.
pub const FIRST_FD: RawFd = 3;

/// What a child process may use, write and reach.
#[derive(Debug, Clone, Default)]
pub struct Confinement {
    /// CPU seconds over the child's life; the kernel sends `SIGXCPU` when they are used up.
    pub cpu_seconds: Option<u64>,
    /// Bytes of address space.
    pub address_space: Option<u64>,
    /// Bytes of the largest file it may write.
    pub file_bytes: Option<u64>,
    /// Files it may hold open.
    pub open_files: Option<u64>,
    /// Whether it may start processes (threads it always may).
    pub processes: bool,
    /// The cores it runs on; empty for any.
    pub cores: Vec<usize>,
    /// Directories it may write in; files elsewhere it can only read. `None` leaves all writable.
    pub writable: Option<Vec<PathBuf>>,
    /// Device nodes that it may write to all the same. Their driver also gets sockets within the machine, and may write
    /// to `/proc`, until the child gives these up with [`forbid_what_drivers_need`].
    pub devices: Vec<PathBuf>,
}

/// One confining measure, by the name the report uses when it could not be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Measure {
    /// Child dies with its parent.
    DiesWithParent,
    /// Limit on CPU time.
    CpuLimit,
    /// Limit on address space.
    MemoryLimit,
    /// Limit on file size.
    FileSizeLimit,
    /// Limit on open files.
    OpenFilesLimit,
    /// Bound to its cores.
    OwnCores,
    /// No core dumps.
    NoCoreDump,
    /// Writes confined to the scratch directory.
    WritesInScratchOnly,
    /// Writes confined as far as this kernel's Landlock goes, which lets `truncate` through.
    WritesInScratchOnlyPartly,
    /// No sockets, no processes of its own, no reaching into other processes.
    SystemCallFilter,
}

impl Measure {
    const ALL: [Self; 10] = [
        Self::DiesWithParent,
        Self::CpuLimit,
        Self::MemoryLimit,
        Self::FileSizeLimit,
        Self::OpenFilesLimit,
        Self::OwnCores,
        Self::NoCoreDump,
        Self::WritesInScratchOnly,
        Self::WritesInScratchOnlyPartly,
        Self::SystemCallFilter,
    ];

    /// Stable kebab-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiesWithParent => "dies-with-parent",
            Self::CpuLimit => "cpu-limit",
            Self::MemoryLimit => "memory-limit",
            Self::FileSizeLimit => "file-size-limit",
            Self::OpenFilesLimit => "open-files-limit",
            Self::OwnCores => "own-cores",
            Self::NoCoreDump => "no-core-dump",
            Self::WritesInScratchOnly => "writes-in-scratch-only",
            Self::WritesInScratchOnlyPartly => "truncate-in-scratch-only",
            Self::SystemCallFilter => "system-call-filter",
        }
    }
}

/// Tells, once the child has been spawned, what could not be applied to it.
#[derive(Debug)]
pub struct Applied {
    status: File,
    /// Held open until the child is spawned, so that the standard library's own pipe gets a number
    /// above the ones the child's descriptors are moved to.
    _occupied: Vec<OwnedFd>,
}

impl Applied {
    /// Measures that were not applied. Call after a successful spawn and after dropping the
    /// `Command`, which holds the other end of the status pipe.
    ///
    /// # Errors
    /// When the status pipe cannot be read.
    pub fn missing(mut self) -> io::Result<Vec<Measure>> {
        let mut codes = Vec::new();
        self.status.read_to_end(&mut codes)?;
        Ok(Measure::ALL.into_iter().filter(|measure| codes.contains(&(*measure as u8))).collect())
    }
}

/// Where a driver writes to when it starts: its nodes, and what it tells the kernel of its own process.
fn elsewhere(devices: &[PathBuf]) -> Vec<PathBuf> {
    let processes = (!devices.is_empty()).then(|| PathBuf::from("/proc"));
    devices.iter().cloned().chain(processes).collect()
}

/// The rights of Landlock that writing takes, for a process that restricts itself further: on directories, and on files.
pub fn write_rights() -> (u64, u64) {
    files::write_rights()
}

/// What a driver of NVIDIA's is reached through, as far as it is there.
pub fn device_nodes() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let is_node = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("nvidia");
    entries.filter(is_node).map(|entry| entry.path()).collect()
}

/// Forbids the calling thread, and those it starts, what only a driver that starts has a use for: sockets, and writing
/// to `/proc`. It may write in the working directory and to `devices` still. `false` if that could not be had.
pub fn forbid_what_drivers_need(devices: &[PathBuf]) -> bool {
    let rules = std::env::current_dir().and_then(|scratch| files::WriteRules::new(&[scratch], devices));
    rules.is_ok_and(|rules| rules.apply().is_none()) & filter::forbid_sockets()
}

/// Makes `command` start its child in a session of its own, confined as `plan` says, with `fds` as its
/// descriptors 3, 4, … and no others beyond the standard streams.
///
/// The child is killed when the *thread* that spawns it ends, which is how the kernel defines it.
///
/// # Errors
/// When descriptors cannot be duplicated or a writable directory cannot be opened.
pub fn confine(command: &mut Command, plan: &Confinement, fds: &[BorrowedFd<'_>]) -> io::Result<Applied> {
    let end = FIRST_FD + fds.len() as RawFd;
    let occupied = occupy_below(end)?;
    let inherited =
        fds.iter().map(|fd| duplicate_above(fd.as_raw_fd(), end)).collect::<Result<Vec<_>, _>>()?;
    let (status, report) = io::pipe()?;
    let report = File::from(duplicate_above(report.as_raw_fd(), end)?);
    let files = plan
        .writable
        .as_deref()
        .map(|paths| files::WriteRules::new(paths, &elsewhere(&plan.devices)))
        .transpose()?;
    let filter = filter::Filter::new(plan.processes, !plan.devices.is_empty());
    let limits = limits::limits(plan);
    let cores = (!plan.cores.is_empty()).then(|| set_of(&plan.cores));
    let parent = std::process::id();

    let apply = move || {
        enter_own_session()?;
        for (fd, target) in inherited.iter().zip(FIRST_FD..) {
            move_descriptor(fd.as_raw_fd(), target)?;
        }
        close_on_exec_from(end);
        let mut report = &report;
        let mut note = |measure: Measure, done: bool| match done {
            true => Ok(()),
            false => report.write_all(&[measure as u8]),
        };
        note(Measure::DiesWithParent, die_with_parent(parent)?)?;
        note(Measure::OwnCores, cores.as_ref().is_none_or(bind_to))?;
        for limit in &limits {
            note(limit.measure, limit.apply())?;
        }
        if let Some(missing) = files.as_ref().and_then(files::WriteRules::apply) {
            note(missing, false)?;
        }
        note(Measure::SystemCallFilter, filter.apply())
    };
    // SAFETY: between fork and exec the closure makes system calls only: everything it needs was
    // allocated above, and it neither allocates nor takes a lock on the paths that succeed.
    unsafe { command.pre_exec(apply) };
    Ok(Applied { status: File::from(OwnedFd::from(status)), _occupied: occupied })
}

/// Opens descriptors until every number below `end` is taken.
fn occupy_below(end: RawFd) -> io::Result<Vec<OwnedFd>> {
    let mut occupied = vec![OwnedFd::from(File::open("/dev/null")?)];
    while occupied.last().is_some_and(|fd| fd.as_raw_fd() < end) {
        occupied.push(occupied[0].try_clone()?);
    }
    Ok(occupied)
}

fn duplicate_above(fd: RawFd, end: RawFd) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: fcntl(F_DUPFD_CLOEXEC) touches no memory, and a non-negative answer is a new
    // descriptor that nobody else owns.
    unsafe {
        let copy = check(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, end))?;
        Ok(OwnedFd::from_raw_fd(copy))
    }
}

fn enter_own_session() -> io::Result<()> {
    // SAFETY: setsid takes no arguments and touches no memory of ours.
    check(unsafe { libc::setsid() }).map(drop)
}

fn move_descriptor(fd: RawFd, target: RawFd) -> io::Result<()> {
    // SAFETY: dup2 works on descriptor numbers; the copy is inherited because dup2 clears CLOEXEC.
    check(unsafe { libc::dup2(fd, target) }).map(drop)
}

/// Nothing but what was handed over reaches the child, even if a library of ours forgot CLOEXEC.
fn close_on_exec_from(first: RawFd) {
    // SAFETY: marks descriptor numbers; where the kernel lacks the call, CLOEXEC still stands on ours.
    unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Asks for `SIGKILL` when the parent dies, and fails if it died before this could be asked.
fn die_with_parent(parent: u32) -> io::Result<bool> {
    // SAFETY: prctl(PR_SET_PDEATHSIG) and getppid touch no memory.
    let (asked, now) = unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), libc::getppid()) };
    // In a process-id namespace of its own a child sees 0; no parent of ours has that number.
    if now != parent as libc::pid_t && now != 0 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(asked == 0)
}

fn set_of(cores: &[usize]) -> libc::cpu_set_t {
    // SAFETY: all zero is the empty set; CPU_SET checks that a core is within the set's size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        cores.iter().for_each(|core| libc::CPU_SET(*core, &mut set));
        set
    }
}

/// Binds every thread that the process has by now to `cores`; those that they start inherit it. `false` if one could not
/// be bound.
pub fn bind_all_threads(cores: &[usize]) -> bool {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return false };
    let set = set_of(cores);
    let ids = threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse::<libc::pid_t>().ok());
    // SAFETY: the kernel reads `size_of` bytes of the set, which outlives the calls.
    ids.into_iter().fold(true, |bound, id| unsafe {
        bound & (libc::sched_setaffinity(id, size_of::<libc::cpu_set_t>(), &set) == 0)
    })
}

fn bind_to(cores: &libc::cpu_set_t) -> bool {
    // SAFETY: the kernel reads `size_of` bytes of the set, which outlives the call.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), cores) == 0 }
}

/// A descriptor that becomes readable when process `pid`, a child not yet waited for, ends.
///
/// # Errors
/// When the kernel has no `pidfd_open` (before Linux 5.3) or descriptors have run out.
pub fn watch(pid: u32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: pidfd_open touches no memory, and a non-negative answer is a new descriptor that
    // nobody else owns.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_open, pid, 0) as libc::c_int)?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn check(code: libc::c_int) -> io::Result<libc::c_int> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}
