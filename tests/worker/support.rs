//! Candidates written in C, and workers to run them in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kinstr::worker::{Argument, Fault, Limits, Setup, Worker};
use kinstr_runtime::arena::{Arena, BufferSpec, Role};
use kinstr_runtime::records::RecordMemory;

/// Elements of `x` and `y`.
pub const ELEMENTS: usize = 1000;

const PRELUDE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
typedef struct { float *allocated, *data; int64_t offset, size, stride; } Memref;
static Memref *memref(void **args, int i) { return (Memref *)args[i]; }
#define X (memref(args, 0)->data)
#define Y (memref(args, 1)->data)
#define N (memref(args, 1)->size)
"#;

/// A compiled candidate.
pub struct Library {
    directory: tempfile::TempDir,
}

impl Library {
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("candidate.so")
    }
}

/// Compiles a whole C file.
pub fn compile(source: &str) -> Library {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("candidate.c");
    std::fs::write(&file, format!("{PRELUDE}{source}")).unwrap();
    let library = Library { directory };
    let output = Command::new("/usr/lib/llvm-22/bin/clang")
        .args(["-O1", "-fno-builtin", "-w", "-shared", "-fPIC", "-o"])
        .arg(library.path())
        .arg(&file)
        .arg("-lm")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// Compiles a candidate of which `body` is the entry: `X` is its input, `Y` its output, `N` their size.
pub fn kernel(body: &str) -> Library {
    compile(&format!("void __kinstr_entry(void **args) {{ {body} }}"))
}

/// `x`, filled with 0, 1, 2, …, and `y`.
pub fn arena() -> Arena {
    let spec =
        |name: &str, role| BufferSpec { name: name.into(), role, element_bytes: 4, elements: ELEMENTS };
    let mut arena = Arena::new(&[spec("x", Role::Input), spec("y", Role::Output)]).unwrap();
    for (index, element) in arena.bytes_mut(0).chunks_exact_mut(4).enumerate() {
        element.copy_from_slice(&(index as f32).to_le_bytes());
    }
    arena.poison_outputs();
    arena
}

pub fn limits() -> Limits {
    Limits {
        cpu: Duration::from_secs(20),
        wall: Duration::from_secs(20),
        request: Duration::from_secs(10),
        memory: Some(1 << 30),
        file_bytes: 1 << 20,
        cores: 0,
        ..Limits::candidate()
    }
}

pub fn arguments() -> Vec<Argument> {
    (0..2).map(|buffer| Argument::Memref { buffer, shape: vec![ELEMENTS as i64] }).collect()
}

pub fn start(limits: Limits, arena: &Arena, records: Option<RecordMemory>) -> Worker {
    let program = Some(Path::new(env!("CARGO_BIN_EXE_kinstr")));
    Worker::start(Setup { limits, arena, others: &[], records, program }).unwrap()
}

/// Loads and runs a candidate once.
pub fn run_in(worker: &mut Worker, library: &Library) -> Result<Duration, Fault> {
    worker.load(&library.path(), &arguments())?;
    worker.run(1)
}

/// What the candidate with this entry did wrong, in a worker under `limits`.
pub fn fault_under(limits: Limits, body: &str) -> Fault {
    fault_of(limits, &kernel(body))
}

pub fn fault_of(limits: Limits, library: &Library) -> Fault {
    let arena = arena();
    let mut worker = start(limits, &arena, None);
    let fault = run_in(&mut worker, library).unwrap_err();
    assert_gone(worker.id());
    fault
}

pub fn fault(body: &str) -> Fault {
    fault_under(limits(), body)
}

/// No process of the worker's group is left, not even a zombie.
pub fn assert_gone(id: u32) {
    let group = nix::unistd::Pid::from_raw(id as i32);
    assert_eq!(nix::sys::signal::killpg(group, None), Err(nix::errno::Errno::ESRCH));
}

pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|element| f32::from_le_bytes(element.try_into().unwrap())).collect()
}
