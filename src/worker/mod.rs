//! Child processes: the candidate's worker and the reference's host.
//!
//! [`Process`] is the transport, which knows nothing of what is asked; [`Worker`] runs a compiled candidate behind it,
//! [`PythonWorker`] one in Python, and they say what the candidate did wrong.

mod capture;
mod classify;
mod core;
mod death;
pub mod fault;
mod group;
mod limits;
mod native;
mod objection;
pub mod process;
mod python;
mod reply;
mod scratch;
pub mod tool;

pub use capture::Printed;
pub use death::{Death, WorkerError};
pub use fault::Fault;
pub use limits::Limits;
pub use native::{Setup, THIS_PROGRAM, Worker};
pub use objection::Objection;
pub use process::Process;
pub use python::{Entry, Making, PythonSetup, PythonWorker, Tensors};
pub use reply::{Refusal, Reply};
pub use scratch::Scratch;

pub use kinstr_runtime::worker::protocol::Argument;
