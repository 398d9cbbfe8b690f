//! Links the executable at a fixed address: every worker is a start of it, and moving LLVM's tables of pointers takes the
//! loader longer than anything else about a start.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-no-pie");
    // Host code of candidates for GPUs calls these in the worker that loads it.
    println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol=mgpu*");
}
