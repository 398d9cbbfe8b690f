//! A confined child process that answers requests.
//!
//! Requests are JSON objects, one a line, on the child's standard input; replies come on descriptor 3,
//! so that what the child prints cannot be taken for one. Every request carries a random `nonce`,
//! which its reply repeats:
//!
//! ```text
//! → {"op": "run", "calls": 3, "nonce": "9f…"}
//! ← {"nonce": "9f…", "ok": {…}}
//! ← {"nonce": "9f…", "error": {"kind": "…", "message": "…", "hint": "…"}}
//! ```
//!
//! The parent holds the clock: the time of a request runs from before it is written until its reply
//! has arrived.

use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use kinstr_runtime::confine;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use super::capture::{Capture, Printed};
use super::death::{Death, WorkerError};
use super::group::Group;
use super::limits::Limits;
use super::reply::{Inbox, Nonces, Reply, parse};
use super::scratch::Scratch;

/// Number of the first of the descriptors that [`Process::spawn`] gives a child; 3 carries replies.
pub const FIRST_EXTRA_FD: i32 = confine::FIRST_FD + 1;

/// A confined child process that answers requests. Dropping it kills it and everything it started.
#[derive(Debug)]
pub struct Process {
    group: Group,
    ended: OwnedFd,
    requests: ChildStdin,
    /// `None` once the child has closed its end.
    replies: Option<PipeReader>,
    inbox: Inbox,
    stdout: Capture<ChildStdout>,
    stderr: Capture<ChildStderr>,
    nonces: Nonces,
    /// The request that was sent last, until it is answered.
    pending: Option<Pending>,
    limits: Limits,
    /// Time in requests that were answered.
    spent: Duration,
    isolation: Vec<&'static str>,
    dead: bool,
    scratch: Scratch,
}

/// A request on its way.
#[derive(Debug)]
struct Pending {
    nonce: String,
    /// What the pipe has not taken yet.
    unsent: Vec<u8>,
    begin: Instant,
    timeout: Duration,
}

impl Process {
    /// Starts `command` under `limits`, in a scratch directory of its own that is also its `TMPDIR`,
    /// with `fds` as its descriptors 4, 5, …. Its environment is the command's.
    ///
    /// The child dies with the calling thread, so call this from one that outlives it.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(command: Command, limits: Limits, fds: &[BorrowedFd<'_>]) -> Result<Self, WorkerError> {
        Self::spawn_writing(command, limits, fds, &[])
    }

    /// As [`Process::spawn`]; the child may also write in `places`, which outlive it.
    ///
    /// # Errors
    /// As [`Process::spawn`], and when one of the places is not there.
    pub fn spawn_writing(
        mut command: Command,
        limits: Limits,
        fds: &[BorrowedFd<'_>],
        places: &[PathBuf],
    ) -> Result<Self, WorkerError> {
        let scratch = Scratch::new().map_err(WorkerError::Scratch)?;
        let (replies, reply_end) = io::pipe().map_err(WorkerError::Pipe)?;
        let inherited: Vec<_> = [reply_end.as_fd()].into_iter().chain(fds.iter().copied()).collect();
        command
            .current_dir(scratch.path())
            .env("TMPDIR", scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut confinement = limits.confinement(scratch.path().to_owned());
        confinement.writable.get_or_insert_default().extend_from_slice(places);
        let applied =
            confine::confine(&mut command, &confinement, &inherited).map_err(WorkerError::Confine)?;
        let program = command.get_program().to_string_lossy().into_owned();
        let spawned = command.spawn();
        // Our copies of the child's ends, without which we would never see them closed.
        drop((command, inherited));
        drop(reply_end);
        let mut child = spawned.map_err(|source| WorkerError::Spawn { program, source })?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let group = Group::new(child);
        let connect = || -> io::Result<Self> {
            let requests = stdin.ok_or(ErrorKind::BrokenPipe)?;
            never_block(&requests)?;
            never_block(&replies)?;
            stdout.as_ref().map_or(Ok(()), never_block)?;
            stderr.as_ref().map_or(Ok(()), never_block)?;
            let missing = applied.missing()?;
            Ok(Self {
                ended: group.watch()?,
                group,
                requests,
                replies: Some(replies),
                inbox: Inbox::default(),
                stdout: Capture::new(stdout),
                stderr: Capture::new(stderr),
                nonces: Nonces::new()?,
                pending: None,
                limits,
                spent: Duration::ZERO,
                isolation: missing.into_iter().map(confine::Measure::name).collect(),
                dead: false,
                scratch,
            })
        };
        connect().map_err(WorkerError::Pipe)
    }

    /// Sends `request`, a JSON object, and waits for its reply. The time is the parent's, from before
    /// the request is written until its reply has arrived.
    ///
    /// # Errors
    /// When no reply comes. The child and everything it started are dead then.
    pub fn request(&mut self, request: &Value, timeout: Duration) -> Result<(Reply, Duration), Death> {
        self.post(request, timeout)?;
        self.answer()
    }

    /// Sends `request` and does not wait: [`Process::answer`] must be called before the next one.
    ///
    /// # Errors
    /// As [`Process::request`].
    pub fn post(&mut self, request: &Value, timeout: Duration) -> Result<(), Death> {
        if self.dead {
            return Err(Death::Gone);
        }
        let posted = self.try_post(request, timeout);
        if posted.is_err() {
            self.end();
        }
        posted
    }

    fn try_post(&mut self, request: &Value, timeout: Duration) -> Result<(), Death> {
        let nonce = self.nonces.next()?;
        let line = stamped(request, &nonce)?;
        let begin = Instant::now();
        let mut unsent = line.as_slice();
        self.send(&mut unsent)?;
        self.pending = Some(Pending { nonce, unsent: unsent.to_vec(), begin, timeout });
        Ok(())
    }

    /// Waits for the reply to the request that was posted. The time is as in [`Process::request`].
    ///
    /// # Errors
    /// As [`Process::request`].
    pub fn answer(&mut self) -> Result<(Reply, Duration), Death> {
        let Some(pending) = self.pending.take() else { return Err(Death::Gone) };
        let answer = self.await_reply(&pending);
        if answer.is_err() {
            self.end();
        }
        answer
    }

    fn await_reply(&mut self, pending: &Pending) -> Result<(Reply, Duration), Death> {
        let Pending { nonce, unsent, begin, timeout } = pending;
        let (begin, timeout, mut unsent) = (*begin, *timeout, unsent.as_slice());
        let deadline = after(begin, timeout).min(after(begin, self.left()));
        loop {
            self.send(&mut unsent)?;
            let ended = self.wait(!unsent.is_empty(), deadline)?;
            let now = Instant::now();
            self.receive()?;
            self.stdout.drain();
            self.stderr.drain();
            if let Some(line) = self.inbox.take_line() {
                let reply = line.and_then(|line| parse(&line, nonce)).map_err(Death::BrokenProtocol)?;
                self.spent += now - begin;
                return Ok((reply, now - begin));
            }
            if ended {
                return Err(self.end());
            }
            if now >= deadline {
                return Err(self.overdue(begin, timeout));
            }
        }
    }

    /// Writes what the pipe takes. A child that closed its end has ended or will run out of time.
    fn send(&mut self, unsent: &mut &[u8]) -> io::Result<()> {
        while !unsent.is_empty() {
            match self.requests.write(unsent) {
                Ok(written) => *unsent = &unsent[written..],
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => break,
                    ErrorKind::BrokenPipe => {
                        *unsent = &[];
                        break;
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Waits for anything to happen, and tells whether the child has ended.
    fn wait(&self, sending: bool, deadline: Instant) -> io::Result<bool> {
        let incoming = [
            Some(self.ended.as_fd()),
            self.replies.as_ref().map(AsFd::as_fd),
            self.stdout.stream.as_ref().map(AsFd::as_fd),
            self.stderr.stream.as_ref().map(AsFd::as_fd),
        ];
        let incoming = incoming.into_iter().flatten();
        let mut fds: Vec<_> = incoming.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        if sending {
            fds.push(PollFd::new(self.requests.as_fd(), PollFlags::POLLOUT));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: waking a fraction of a millisecond early would spin until the deadline.
        let left = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, left) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(fds[0].any().unwrap_or(false))
    }

    fn receive(&mut self) -> Result<(), Death> {
        let mut buffer = [0; 16 << 10];
        while let Some(replies) = &mut self.replies {
            match replies.read(&mut buffer) {
                // The child may live on: its end, or the deadline, is what is reported.
                Ok(0) => self.replies = None,
                Ok(bytes) => self.inbox.add(&buffer[..bytes]).map_err(Death::BrokenProtocol)?,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return Ok(()),
                    _ => return Err(error.into()),
                },
            }
        }
        Ok(())
    }

    /// What is left of its time for all requests.
    fn left(&self) -> Duration {
        self.limits.wall.saturating_sub(self.spent)
    }

    fn overdue(&mut self, begin: Instant, limit: Duration) -> Death {
        match begin.elapsed() >= self.left() {
            true => Death::OutOfTime { limit: self.limits.wall },
            false => Death::TimedOut { limit, peak_bytes: self.group.peak_bytes() },
        }
    }

    /// Kills the child and everything it started, and does not wait until the system has cleaned up after them.
    pub fn kill(&mut self) {
        self.dead = true;
        self.group.kill();
    }

    /// Kills the child and everything it started, and tells how it ended.
    fn end(&mut self) -> Death {
        self.dead = true;
        let spent = self.group.cpu_time();
        let status = self.group.end();
        for _ in 0..DRAINS_AFTER_END {
            self.stdout.drain();
            self.stderr.drain();
        }
        match status.map_or_else(Death::System, Death::from) {
            // Who does not care for SIGXCPU is killed a second later, by the same limit.
            Death::Signalled { signal: libc::SIGKILL } if spent >= Some(self.limits.cpu) => {
                Death::Signalled { signal: libc::SIGXCPU }
            }
            death => death,
        }
    }

    /// What the child printed on standard output so far.
    pub fn stdout(&self) -> &Printed {
        &self.stdout.printed
    }

    /// What the child printed on standard error so far.
    pub fn stderr(&self) -> &Printed {
        &self.stderr.printed
    }

    /// Names of the confining measures that this machine did not let us apply.
    pub fn isolation(&self) -> &[&'static str] {
        &self.isolation
    }

    /// False once a request was not answered: the child is dead then.
    pub fn is_alive(&self) -> bool {
        !self.dead
    }

    /// The limits it runs under.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Process id, also of its process group.
    pub fn id(&self) -> u32 {
        self.group.id()
    }

    /// Its working directory, the only one it may write in; removed with the process.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }
}

/// Reads of up to 64 KiB after a child's end: what fits in its pipes, and then the end of file.
const DRAINS_AFTER_END: usize = 3;

/// `time` later than `start`, or as late as it gets.
fn after(start: Instant, time: Duration) -> Instant {
    start.checked_add(time).unwrap_or_else(|| start + Duration::from_secs(u32::MAX.into()))
}

fn stamped(request: &Value, nonce: &str) -> Result<Vec<u8>, Death> {
    let mut request = request.clone();
    match request.as_object_mut() {
        Some(object) => object.insert("nonce".into(), json!(nonce)),
        None => {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a request is an object").into());
        }
    };
    let mut line = serde_json::to_vec(&request).map_err(io::Error::from)?;
    line.push(b'\n');
    Ok(line)
}

fn never_block(fd: &impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
