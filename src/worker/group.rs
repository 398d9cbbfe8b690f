//! A child and everything it started, killed together.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use kinstr_runtime::confine;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A tick of `/proc/PID/stat`: `USER_HZ` is 100 on every Linux that runs kinstr.
const TICK: Duration = Duration::from_millis(10);

/// A child that leads its own process group. Dropping it kills the group and reaps the child.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    status: Option<ExitStatus>,
}

impl Group {
    pub(super) fn new(child: Child) -> Self {
        Self { child, status: None }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A descriptor that becomes readable when the child ends.
    pub(super) fn watch(&self) -> io::Result<OwnedFd> {
        confine::watch(self.id())
    }

    /// Most address space the child ever had, in bytes, while it lives.
    pub(super) fn peak_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    }

    /// CPU time of all its threads, until it is reaped.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).ok()?;
        // Fields 14 and 15 of proc(5); what comes after the name in field 2 begins with field 3.
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        let ticks = fields.map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
        Some(TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)))
    }

    /// Kills whatever of the group is left, unless the child was reaped.
    pub(super) fn kill(&self) {
        if self.status.is_none() {
            // Before the child is reaped its id cannot be given to another group. No such group means
            // that nothing is left to kill.
            let _ = killpg(Pid::from_raw(self.id() as i32), Signal::SIGKILL);
        }
    }

    /// Kills whatever of the group is left and reaps the child. A child that had ended by itself keeps
    /// its status.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.kill();
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody is left to tell, and the kernel ends the child with us in any case.
        let _ = self.end();
    }
}
