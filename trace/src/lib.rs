//! Records, traces, synthesis and the report schema. Knows neither MLIR nor CUDA.

pub mod chrome;
pub mod decode;
pub mod device;
pub mod diagnosis;
pub mod layout;
mod locate;
pub mod misses;
pub mod observed;
pub mod peaks;
pub mod perfetto;
pub mod port_model;
pub mod probe_costs;
pub mod regions;
pub mod report;
pub mod roofline;
pub mod sites;
mod summary;
pub mod surroundings;
pub mod sweeps;
pub mod synthesis;
pub mod tables;
pub mod threads;
mod timescale;
pub mod totals;
pub mod traffic;
pub mod work;
