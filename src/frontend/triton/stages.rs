//! Triton's own stage from LLVM IR to PTX, in a process that sees no candidate: `python -m kinstr.triton_stages`.

use super::TritonError;
use crate::reference;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Characters of what a failed process said that are shown.
const SHOWN: usize = 400;
/// What the process is asked.
const JOBS: &str = "stages.json";

/// How the process is started, by somebody without an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

/// A kernel's LLVM IR, and what Triton knows of the kernel.
#[derive(Debug)]
pub struct Unfinished<'k> {
    /// The LLVM IR, as Triton reads it.
    pub llvm_ir: String,
    /// What Triton knows.
    pub metadata: &'k Value,
}

/// What came of it.
#[derive(Debug)]
pub struct Finished {
    /// PTX, in the order that was asked.
    pub ptx: Vec<String>,
    /// The assembler that Triton gives it to.
    pub ptxas: PathBuf,
}

#[derive(Deserialize)]
struct Answer {
    ptxas: PathBuf,
}

impl Stages {
    /// Where Triton is.
    ///
    /// # Errors
    /// When there is no Python, or its package cannot be unpacked.
    pub fn find() -> Result<Self, TritonError> {
        let command = reference::command("kinstr.triton_stages")?;
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        let variables = command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?))));
        Ok(Self {
            program: command.get_program().into(),
            arguments: command.get_args().map(text).collect(),
            variables: variables.collect(),
        })
    }

    /// PTX of all of `kernels`, by files in `dir`, for an `architecture` such as 90.
    ///
    /// # Errors
    /// [`TritonError::Stages`] with what Triton said.
    pub fn finish(
        &self,
        dir: &Path,
        architecture: &Value,
        kernels: &[Unfinished<'_>],
    ) -> Result<Finished, TritonError> {
        let failed = |error: std::io::Error| TritonError::Stages(error.to_string());
        let place = |index: usize, kind: &str| dir.join(format!("stages-{index}.{kind}"));
        for (index, kernel) in kernels.iter().enumerate() {
            std::fs::write(place(index, "ll"), &kernel.llvm_ir).map_err(failed)?;
        }
        let job = |(index, kernel): (usize, &Unfinished<'_>)| json!({ "llvm_ir": place(index, "ll"), "ptx": place(index, "ptx"), "metadata": kernel.metadata });
        let jobs: Vec<Value> = kernels.iter().enumerate().map(job).collect();
        let asked = json!({ "arch_number": architecture, "jobs": jobs });
        std::fs::write(dir.join(JOBS), asked.to_string()).map_err(failed)?;
        let answer = self.run(dir)?;
        let ptx = (0..kernels.len()).map(|index| std::fs::read_to_string(place(index, "ptx")));
        let ptx = ptx.collect::<Result<_, _>>().map_err(failed)?;
        let files = (0..kernels.len()).flat_map(|index| [place(index, "ll"), place(index, "ptx")]);
        // One that stays harms nobody.
        files.chain([dir.join(JOBS)]).for_each(|file| drop(std::fs::remove_file(file)));
        Ok(Finished { ptx, ptxas: answer.ptxas })
    }

    fn run(&self, dir: &Path) -> Result<Answer, TritonError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(dir.join(JOBS)).envs(self.variables.iter().cloned());
        // Python looks for modules where it runs: not beside the candidate.
        command.current_dir(dir);
        // Triton looks for a place for its cache, and is not to find anybody's.
        command.env("HOME", dir).env("TRITON_CACHE_DIR", dir.join("triton"));
        let output = command.output().map_err(|error| TritonError::Stages(error.to_string()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            let last: String = last.chars().take(SHOWN).collect();
            return Err(TritonError::Stages(format!("{last} ({})", output.status)));
        }
        // The last line: Triton may print others.
        let answer = output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        serde_json::from_slice(answer.unwrap_or_default())
            .map_err(|error| TritonError::Stages(format!("its answer is not understood: {error}")))
    }
}
