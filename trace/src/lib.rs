//! Records, traces, synthesis and the report schema. Knows neither MLIR nor CUDA.

pub mod layout;
pub mod sites;
