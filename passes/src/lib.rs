//! Probe passes: functions of a module and options. No files, no clocks, no devices.
//!
//! `probes/` holds one file a probe, `transforms/` what prepares and undoes them, `conversion/` what turns
//! `kprobe` ops into the LLVM dialect of a target. [`pipeline`] runs textual pipelines step by step.

mod cfg;
pub mod context;
pub mod conversion;
pub mod facts;
pub mod ffi;
pub mod ir;
mod llvm;
mod loops;
pub mod markers;
pub mod pipeline;
pub mod probe;
pub mod transforms;
mod watch;

/// The probe folder: every file in it is a probe.
pub mod probes {
    include!(concat!(env!("OUT_DIR"), "/probes.rs"));
}
