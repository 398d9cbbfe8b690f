//! kinstr: why is this kernel not faster? See ARCHITECTURE.md.

pub mod builds;
pub mod cli;
pub mod codegen;
pub mod complaint;
pub mod correctness;
pub mod diff;
pub mod eval;
pub mod frontend;
mod harmless;
pub mod jobs;
pub mod lower;
pub mod measure;
pub mod near;
pub mod port_model;
pub mod problem;
pub mod program;
pub mod reference;
pub mod report;
pub mod store;
pub mod target;
pub mod tensor;
pub mod worker;
