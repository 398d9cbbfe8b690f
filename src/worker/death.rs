//! How a child process stops answering.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

/// Why a child process could not be started.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// No scratch directory.
    #[error("cannot make a scratch directory: {0}")]
    Scratch(#[source] io::Error),
    /// No pipes or descriptors.
    #[error("cannot connect to a child process: {0}")]
    Pipe(#[source] io::Error),
    /// Confinement could not be prepared.
    #[error("cannot prepare the confinement of a child process: {0}")]
    Confine(#[source] io::Error),
    /// Program missing or not executable.
    #[error("cannot start `{program}`: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Shared memory for control, records or tensors could not be made.
    #[error("cannot share memory with a child process: {0}")]
    Memory(#[source] io::Error),
}

/// How a child process stopped answering. It has been killed and reaped by then.
#[derive(Debug, Error)]
pub enum Death {
    /// It left, with this status.
    #[error("the process exited with status {code}")]
    Exited {
        /// Exit status.
        code: i32,
    },
    /// A signal that we did not send ended it.
    #[error("the process was ended by signal {signal}")]
    Signalled {
        /// Signal number.
        signal: i32,
    },
    /// It did not answer in time.
    #[error("the process did not answer within {:.1} s", .limit.as_secs_f64())]
    TimedOut {
        /// Time the request had.
        limit: Duration,
        /// Most address space it had, in bytes.
        peak_bytes: Option<u64>,
    },
    /// It used up the time it had in all.
    #[error("the process used up the {:.1} s it had in all", .limit.as_secs_f64())]
    OutOfTime {
        /// Wall time of its limits.
        limit: Duration,
    },
    /// Something on the reply channel was not the reply.
    #[error("the process broke the reply protocol: {0}")]
    BrokenProtocol(String),
    /// It had ended before this request.
    #[error("the process had already ended")]
    Gone,
    /// The system failed us.
    #[error("cannot talk to the process: {0}")]
    System(#[from] io::Error),
}

impl From<ExitStatus> for Death {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited { code },
            (None, Some(signal)) => Self::Signalled { signal },
            (None, None) => Self::Gone,
        }
    }
}
