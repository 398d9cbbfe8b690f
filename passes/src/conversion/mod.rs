//! `kprobe` mechanism ops → LLVM dialect, one file a target.
//!
//! A target is a small LLVM-dialect library (`x86_64.mlir`) of functions that are inlined into the kernel; the
//! conversion turns each mechanism op into a call. On a GPU what a function
//! times stays in its registers until it returns (`local.rs`), and what follows a wait is not kept waiting by its probes
//! (`waits.rs`). After it no `kprobe` op remains.

mod calls;
mod local;
pub mod nvptx;
mod waits;
pub mod x86_64;

pub use calls::ConversionError;
