//! What went wrong, whose fault it is, and what to do about it.

use std::io;
use std::time::Duration;

use kinstr_runtime::arena::{ArenaError, Place};
use kinstr_runtime::gpu::DeviceFault;
use kinstr_trace::report;
use thiserror::Error;

use super::death::WorkerError;
use super::objection::Objection;

/// A failure of a stage, by who caused it.
#[derive(Debug, Error)]
pub enum Fault {
    /// The candidate. Never retried.
    #[error(transparent)]
    Candidate(#[from] CandidateFault),
    /// The machine or its surroundings. Retried.
    #[error(transparent)]
    Infrastructure(#[from] InfrastructureFault),
    /// kinstr itself. Never retried.
    #[error(transparent)]
    Internal(#[from] InternalFault),
}

/// What a candidate did.
#[derive(Debug, Error, PartialEq)]
pub enum CandidateFault {
    /// It accessed memory outside a buffer.
    #[error("{} {} `{buffer}`", if *.writing { "writes" } else { "reads" }, distance(*.place))]
    OutOfBounds {
        /// Buffer nearest to the access.
        buffer: String,
        /// Where, relative to the buffer's data.
        place: Place,
        /// Whether it was a write.
        writing: bool,
    },
    /// It wrote to an input.
    #[error("writes to its input `{buffer}`, {offset} bytes from its start")]
    WritesInput {
        /// The input.
        buffer: String,
        /// Bytes from its start.
        offset: usize,
    },
    /// It ran out of stack.
    #[error("overflows its stack")]
    StackOverflow,
    /// It accessed an address near zero.
    #[error("dereferences a null pointer (address {address:#x})")]
    NullDereference {
        /// The address.
        address: u64,
    },
    /// It accessed an address that belongs to nothing.
    #[error("{} address {address:#x}, which is not its memory", if *.writing { "writes" } else { "reads" })]
    BadAddress {
        /// The address.
        address: u64,
        /// Whether it was a write.
        writing: bool,
    },
    /// It made an access that the processor refuses whatever the address is mapped to.
    #[error("makes an access the processor refuses: a misaligned vector access or an impossible address")]
    InvalidAccess,
    /// It divided an integer by zero, or the least integer by −1.
    #[error("divides an integer by zero")]
    DivisionByZero,
    /// It executed an instruction that this processor does not have, or a trap.
    #[error("executes an illegal instruction at {program_counter:#x}")]
    IllegalInstruction {
        /// Where.
        program_counter: u64,
    },
    /// It called `abort`.
    #[error("aborts{}", said(.last_words))]
    Aborted {
        /// Last line on its standard error.
        last_words: String,
    },
    /// It ended the process instead of returning.
    #[error("calls exit({code}) instead of returning")]
    CalledExit {
        /// Exit status.
        code: i32,
    },
    /// A signal ended it for a reason that none of the above describes.
    #[error("is ended by signal {signal}")]
    Crashed {
        /// Signal number.
        signal: i32,
    },
    /// It did not return in time.
    #[error("does not return within {:.1} s", .limit.as_secs_f64())]
    TimedOut {
        /// Time it had.
        limit: Duration,
    },
    /// It used up its CPU time.
    #[error("uses up its {:.0} s of CPU time", .limit.as_secs_f64())]
    CpuLimit {
        /// CPU time it had.
        limit: Duration,
    },
    /// Its process used up its life's time.
    #[error("uses up the {:.0} s its process had in all", .limit.as_secs_f64())]
    WallLimit {
        /// Time it had.
        limit: Duration,
    },
    /// It allocated more than it may.
    #[error("uses up its {} MiB of memory", .limit_bytes >> 20)]
    MemoryLimit {
        /// Bytes it may allocate.
        limit_bytes: u64,
    },
    /// It wrote a larger file than it may.
    #[error("writes a file larger than {} MiB", .limit_bytes >> 20)]
    FileSizeLimit {
        /// Bytes a file may have.
        limit_bytes: u64,
    },
    /// Its code on the device, or what it asks of the device, is at fault.
    #[error("fails on the device: {0}")]
    Device(DeviceFault),
    /// Its library cannot be loaded.
    #[error("cannot be loaded: {message}")]
    DoesNotLoad {
        /// The loader's words.
        message: String,
    },
    /// It is in Python, and its host says what is wrong with it.
    #[error(transparent)]
    Python(Box<Objection>),
    /// It wrote to, or closed, its worker's channels.
    #[error("interferes with its worker: {detail}")]
    Interferes {
        /// What was seen.
        detail: String,
    },
}

/// What the machine did.
#[derive(Debug, Error)]
pub enum InfrastructureFault {
    /// A child process could not be started.
    #[error(transparent)]
    Start(#[from] WorkerError),
    /// Tensors could not be shared.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// There is no such device, or it is gone.
    #[error(transparent)]
    Device(DeviceFault),
    /// Somebody else killed the child, for example because the machine ran out of memory.
    #[error("the worker was killed from outside")]
    Killed,
    /// Calls seemed to take less time than the request that asks for them.
    #[error(
        "the calls cost less than the request that asks for them: the machine is too busy to time this kernel"
    )]
    NotTimed,
    /// The system failed us.
    #[error("cannot talk to the worker: {0}")]
    System(#[from] io::Error),
    /// The system failed the worker.
    #[error("the worker could not do its work: {0}")]
    Worker(String),
}

/// What kinstr did.
#[derive(Debug, Error)]
pub enum InternalFault {
    /// A worker ended before it had loaded a candidate, or by its own code.
    #[error("the worker ended by itself ({how}){}", said(.last_words))]
    WorkerEnded {
        /// How.
        how: String,
        /// Last line on its standard error.
        last_words: String,
    },
    /// A worker did not understand a request.
    #[error("the worker refused a request: {0}")]
    Refused(String),
    /// A worker was used after its end.
    #[error("the worker had already ended")]
    AlreadyEnded,
}

impl Fault {
    /// Who caused it, as reports say it.
    pub const fn blame(&self) -> report::Fault {
        match self {
            Self::Candidate(_) => report::Fault::Candidate,
            Self::Infrastructure(_) => report::Fault::Infrastructure,
            Self::Internal(_) => report::Fault::Internal,
        }
    }

    /// Stable kebab-case name of the cause.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Candidate(fault) => fault.kind(),
            Self::Infrastructure(fault) => fault.kind(),
            Self::Internal(fault) => fault.kind(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &str {
        match self {
            Self::Candidate(fault) => fault.hint(),
            Self::Infrastructure(InfrastructureFault::Device(fault)) => fault.hint(),
            Self::Infrastructure(_) => "kinstr tries again; if it persists, see `kinstr doctor`",
            Self::Internal(_) => "this is a bug in kinstr, please report it",
        }
    }
}

impl CandidateFault {
    /// Stable kebab-case name of the cause.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OutOfBounds { .. } => "out-of-bounds",
            Self::WritesInput { .. } => "writes-input",
            Self::StackOverflow => "stack-overflow",
            Self::NullDereference { .. } => "null-dereference",
            Self::BadAddress { .. } => "bad-address",
            Self::InvalidAccess => "invalid-access",
            Self::DivisionByZero => "division-by-zero",
            Self::IllegalInstruction { .. } => "illegal-instruction",
            Self::Aborted { .. } => "aborted",
            Self::CalledExit { .. } => "called-exit",
            Self::Crashed { .. } => "crashed",
            Self::TimedOut { .. } => "timed-out",
            Self::CpuLimit { .. } => "cpu-limit",
            Self::WallLimit { .. } => "wall-limit",
            Self::MemoryLimit { .. } => "memory-limit",
            Self::FileSizeLimit { .. } => "file-size-limit",
            Self::Device(fault) => fault.kind(),
            Self::DoesNotLoad { .. } => "does-not-load",
            Self::Python(objection) => objection.kind,
            Self::Interferes { .. } => "interferes-with-worker",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &str {
        match self {
            Self::OutOfBounds { .. } => "check the loop bounds, above all of the last tile or vector",
            Self::WritesInput { .. } => "inputs are read-only: copy what must be changed",
            Self::StackOverflow => "allocate large temporaries on the heap, and end every recursion",
            Self::NullDereference { .. } => {
                "an allocation that fails gives null: check its size, or allow more with --memory"
            }
            Self::BadAddress { .. } => "check index arithmetic for overflow and wrong strides",
            Self::InvalidAccess => "buffers are aligned to 64 bytes, their rows only if the row size is",
            Self::DivisionByZero => "guard the divisor; an axis may be smaller than a tile",
            Self::IllegalInstruction { .. } => "was it compiled for another processor?",
            Self::Aborted { .. } => "an assertion or an uncaught exception ended it",
            Self::CalledExit { .. } => "return from the kernel instead",
            Self::Crashed { .. } => "the signal's number says more: see `man 7 signal`",
            Self::TimedOut { .. } => "does every loop end? a slow kernel may be given more time",
            Self::CpuLimit { .. } | Self::WallLimit { .. } => "a slow kernel may be given more time",
            Self::MemoryLimit { .. } => "is what it allocates freed on every call?",
            Self::FileSizeLimit { .. } => "a kernel need not write files",
            Self::Device(fault) => fault.hint(),
            Self::Python(objection) => objection.hint(),
            Self::DoesNotLoad { .. } => "it may call only what it defines, the C library and libm",
            Self::Interferes { .. } => "a kernel may use its arguments only, and no file descriptors",
        }
    }
}

impl InfrastructureFault {
    /// Stable kebab-case name of the cause.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Start(_) => "worker-start",
            Self::Arena(_) => "shared-memory",
            Self::Device(fault) => fault.kind(),
            Self::Killed => "killed",
            Self::NotTimed => "not-timed",
            Self::System(_) => "system",
            Self::Worker(_) => "worker-system",
        }
    }
}

impl InternalFault {
    /// Stable kebab-case name of the cause.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::WorkerEnded { .. } => "worker-ended",
            Self::Refused(_) => "worker-refused",
            Self::AlreadyEnded => "worker-used-after-end",
        }
    }
}

/// Where a place lies relative to its buffer, in words that go before the buffer's name.
pub fn distance(place: Place) -> String {
    match place {
        Place::Inside(bytes) => format!("{} into", bytes_of(bytes)),
        Place::Before(bytes) => format!("{} before the start of", bytes_of(bytes)),
        Place::After(0) => "right past the end of".into(),
        Place::After(bytes) => format!("{} past the end of", bytes_of(bytes)),
    }
}

fn bytes_of(bytes: usize) -> String {
    if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") }
}

fn said(last_words: &str) -> String {
    if last_words.is_empty() { String::new() } else { format!(", last saying: {last_words}") }
}
