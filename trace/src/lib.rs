//! Records, traces, synthesis and the report schema. Knows neither MLIR nor CUDA.

pub mod diagnosis;
pub mod layout;
pub mod peaks;
pub mod report;
pub mod roofline;
pub mod sites;
pub mod synthesis;
pub mod tables;
pub mod work;
