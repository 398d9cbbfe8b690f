//! kinstr: why is this kernel not faster? See ARCHITECTURE.md.

pub mod builds;
pub mod cli;
pub mod codegen;
pub mod complaint;
pub mod frontend;
pub mod jobs;
pub mod lower;
pub mod report;
pub mod store;
