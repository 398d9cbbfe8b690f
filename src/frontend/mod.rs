//! Front ends: files become MLIR modules.

pub mod mlir;
