//! kinstr: why is this kernel not faster? See ARCHITECTURE.md.

pub mod cli;
pub mod codegen;
pub mod frontend;
pub mod lower;
