//! The process in which Triton compiles: a Python host as the reference's is, confined as that is.

use super::{KernelSpec, TritonError};
use crate::{
    reference,
    worker::{Limits, Objection, Process, Reply},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Time for importing the file, and PyTorch with it: gigabytes from a cold disk.
const LOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// Time for one kernel. Triton takes a second or two.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(120);

/// Characters of a dead process's last words that are shown.
const SHOWN: usize = 400;

/// A process that has a file with Triton kernels loaded. It is killed when dropped.
#[derive(Debug)]
pub struct Compiler {
    process: Process,
    /// The file, whole, and as the user named it.
    file: (PathBuf, PathBuf),
}

#[derive(Deserialize)]
struct Compiled {
    llvm_ir: String,
}

#[derive(Deserialize)]
struct Finished {
    ptx: String,
}

impl Compiler {
    /// Starts the process, which imports `path`, to compile for `chip`, e.g. `sm_90`. It dies with the calling thread.
    ///
    /// # Errors
    /// When there is no Python with Triton, or the file cannot be imported.
    pub fn start(path: &Path, chip: &str) -> Result<Self, TritonError> {
        let command = reference::command("kinstr.triton_compiler")?;
        let process =
            Process::spawn(command, Limits::reference().on_any_core(), &[]).map_err(TritonError::Start)?;
        // It runs in a scratch directory, so the path has to be whole.
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let whole = std::fs::canonicalize(&whole).unwrap_or(whole);
        let mut compiler = Self { process, file: (whole, path.to_owned()) };
        let load = json!({ "op": "load", "path": compiler.file.0, "chip": chip });
        compiler.ask::<Value>(&load, LOAD_TIMEOUT)?;
        Ok(compiler)
    }

    /// The LLVM IR that Triton makes of `kernel`, optimised; with `markers` where scopes begin and end.
    ///
    /// # Errors
    /// [`TritonError::Refused`] if there is no such kernel or Triton does not take it.
    pub fn compile(&mut self, kernel: &KernelSpec, markers: bool) -> Result<String, TritonError> {
        let request = json!({ "op": "compile", "kernel": kernel, "markers": markers });
        let compiled: Compiled = self.ask(&request, COMPILE_TIMEOUT)?;
        Ok(compiled.llvm_ir)
    }

    /// The PTX that Triton makes of `llvm_ir`, in place of what it compiled `kernel` to.
    ///
    /// # Errors
    /// [`TritonError::Refused`] if Triton does not take it.
    pub fn finish(&mut self, kernel: &str, llvm_ir: &str) -> Result<String, TritonError> {
        let request = json!({ "op": "finish", "kernel": kernel, "llvm_ir": llvm_ir });
        let finished: Finished = self.ask(&request, COMPILE_TIMEOUT)?;
        Ok(finished.ptx)
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Value, timeout: Duration) -> Result<T, TritonError> {
        let (whole, name) = &self.file;
        let (reply, _) = match self.process.request(request, timeout) {
            Ok(reply) => reply,
            Err(death) => {
                let printed = last_of(&self.process.stderr().text());
                return Err(TritonError::Died { path: name.clone(), death, printed });
            }
        };
        match reply {
            Reply::Refused(refusal) if refusal.kind == "protocol" => {
                Err(TritonError::Protocol(refusal.message))
            }
            Reply::Refused(refusal) => Err(TritonError::Refused {
                path: name.clone(),
                objection: Objection::new(&refusal, whole, name),
            }),
            Reply::Done(value) => {
                serde_json::from_value(value).map_err(|error| TritonError::Protocol(error.to_string()))
            }
        }
    }
}

/// The last line of what a dead process printed: what ended it.
fn last_of(printed: &str) -> String {
    let last = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.chars().take(SHOWN).collect()
}
