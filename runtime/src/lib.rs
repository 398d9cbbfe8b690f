//! What runs beside a kernel: confinement, shared memory, clocks, the worker that hosts candidates.
//!
//! `unsafe` code lives here, and no MLIR.

pub mod arena;
pub mod clock;
pub mod confine;
pub mod gpu;
pub mod peaks;
pub mod records;
pub mod shared;
pub mod worker;
