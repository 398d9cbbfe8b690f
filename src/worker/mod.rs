//! Child processes: the candidate's worker and the reference's host.

mod capture;
mod death;
mod group;
mod limits;
pub mod process;
mod reply;

pub use capture::Printed;
pub use death::{Death, WorkerError};
pub use limits::Limits;
pub use process::Process;
pub use reply::{Refusal, Reply};
