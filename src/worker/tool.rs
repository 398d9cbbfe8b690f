//! A program that runs once over a file of a candidate's, confined as the candidate itself would be.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use kinstr_runtime::confine::{self, Confinement};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::group::Group;

/// Bytes of the largest file it may write, its messages among them.
const FILE_BYTES: u64 = 256 << 20;
/// Bytes of its messages that are read.
const READ_BYTES: u64 = 64 << 10;
/// What it says, in its scratch directory.
pub const SAID: &str = "said.txt";

/// One run of a program.
#[derive(Debug)]
pub struct Tool<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [OsString],
    /// Its working directory, the only one it may write in.
    pub scratch: &'a Path,
    /// How long it may take.
    pub time: Duration,
    /// Bytes of address space it may use.
    pub memory: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It was killed for taking too long.
    TimedOut,
}

impl Tool<'_> {
    /// Runs it to its end, with no environment but `PATH` and no network. Answers how it ended and what it said on either
    /// stream.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self) -> io::Result<(Ended, String)> {
        let said = self.scratch.join(SAID);
        let output = File::create(&said)?;
        let mut command = Command::new(self.program);
        command
            .args(self.arguments)
            .current_dir(self.scratch)
            .env_clear()
            .env("TMPDIR", self.scratch)
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let plan = Confinement {
            cpu_seconds: Some(self.time.as_secs().max(1)),
            address_space: Some(self.memory),
            file_bytes: Some(FILE_BYTES),
            open_files: Some(256),
            processes: true,
            cores: Vec::new(),
            writable: Some(vec![self.scratch.to_owned()]),
            devices: Vec::new(),
        };
        let _applied = confine::confine(&mut command, &plan, &[])?;
        let mut group = Group::new(command.spawn()?);
        drop(command);
        let in_time = wait(&group, self.time)?;
        let status = group.end()?;
        let ended = match (in_time, status.code(), status.signal()) {
            (true, Some(code), _) => Ended::Exited(code),
            (true, None, Some(libc::SIGXCPU)) | (false, ..) => Ended::TimedOut,
            (true, None, signal) => Ended::Signalled(signal.unwrap_or_default()),
        };
        let mut text = Vec::new();
        File::open(&said)?.take(READ_BYTES).read_to_end(&mut text)?;
        Ok((ended, String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Whether the child ended within `time`.
fn wait(group: &Group, time: Duration) -> io::Result<bool> {
    let ended = group.watch()?;
    let mut fds = [PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)) {
            Ok(count) => return Ok(count > 0),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &str, arguments: &[&str], time: Duration) -> (Ended, String) {
        let scratch = tempfile::tempdir().unwrap();
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let (program, scratch) = (Path::new(program), scratch.path());
        Tool { program, arguments: &arguments, scratch, time, memory: 1 << 30 }.run().unwrap()
    }

    #[test]
    fn what_it_says_and_how_it_ends_are_told() {
        let minute = Duration::from_secs(60);
        assert_eq!(run("/bin/sh", &["-c", "echo no >&2; exit 3"], minute), (Ended::Exited(3), "no\n".into()));
        let soon = Duration::from_millis(100);
        assert_eq!(run("/bin/sh", &["-c", "while :; do :; done"], soon).0, Ended::TimedOut);
    }
}
