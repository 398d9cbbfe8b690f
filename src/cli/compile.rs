//! `kinstr compile`: the compiling process. kinstr starts it for itself; it is confined from its first instruction on.

use super::{Failure, exit};
use crate::{builds, complaint::Complaint};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct Options {
    /// Directory of the job
    directory: PathBuf,
}

pub fn run(options: &Options) -> Result<u8, Failure> {
    // The job itself says how it failed; what can fail here is the disk.
    builds::perform(&options.directory)
        .map_err(|error| Failure::new(exit::INFRASTRUCTURE, Complaint::from(&error)))?;
    Ok(exit::CORRECT)
}

/// LLVM's last words, for kinstr to repeat.
pub fn end_of_llvm(reason: &str) -> ! {
    super::say(&format!("LLVM cannot go on: {reason}"));
    std::process::exit(i32::from(builds::LLVM_ENDED))
}
