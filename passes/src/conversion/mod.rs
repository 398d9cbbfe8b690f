//! `kprobe` mechanism ops → LLVM dialect, one file a target.
//!
//! A target is a small LLVM-dialect library (`x86_64.mlir`) of functions that are inlined into the kernel; the
//! conversion turns each mechanism op into a call. After it no `kprobe` op remains.

mod calls;
pub mod x86_64;

pub use calls::ConversionError;
