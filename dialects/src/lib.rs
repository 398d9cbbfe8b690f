//! The `kprobe` dialect: its definition, typed builders, queries and the verifier.
//!
//! `kprobe.irdl.mlir` is the source of truth; [`load`] hands it to MLIR at run time, so that operand
//! counts, types and attributes are checked by MLIR itself. [`verify`] checks what IRDL cannot say.

mod load;
pub mod nesting;
pub mod ops;
pub mod verify;

pub use load::{LoadError, load};
