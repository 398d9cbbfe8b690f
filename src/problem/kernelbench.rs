//! A KernelBench file as a problem: its own code says what the inputs and outputs are.
use super::{Contents, Extent, Input, Output, Problem, ProblemError, ReferenceSource, Workload};
use crate::correctness::ToleranceSpec;
use crate::reference::{self, Description, Waiting};
use crate::tensor::TensorSpec;
use std::path::Path;

/// One workload, no axes; the inputs are those of `get_inputs`, then the model's parameters and buffers.
pub(super) fn problem(path: &Path, text: &str, device: Option<u32>) -> Result<Problem, ProblemError> {
    let (described, waiting) = reference::describe(path, device).map_err(Box::new)?;
    Ok(Problem { described_by: waiting, ..from_description(path, text, described) })
}

fn from_description(path: &Path, text: &str, described: Description) -> Problem {
    let inputs = described.inputs.into_iter().map(|spec| input(spec, Contents::Reference));
    let state = described.state.into_iter().map(|spec| input(spec, Contents::State));
    Problem {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        path: path.to_owned(),
        axes: Vec::new(),
        inputs: inputs.chain(state).collect(),
        outputs: described.outputs.into_iter().map(output).collect(),
        reference: ReferenceSource::KernelBench { path: path.to_owned() },
        tolerance: ToleranceSpec::Auto,
        workloads: vec![Workload { name: "default".to_owned(), axes: Vec::new() }],
        digest: blake3::hash(text.as_bytes()),
        described_by: Waiting::default(),
    }
}

fn input(spec: TensorSpec, contents: Contents) -> Input {
    Input { shape: fixed(&spec), name: spec.name, dtype: spec.dtype, contents }
}

fn output(spec: TensorSpec) -> Output {
    Output { shape: fixed(&spec), name: spec.name, dtype: spec.dtype }
}

fn fixed(spec: &TensorSpec) -> Vec<Extent> {
    spec.shape.iter().map(|extent| Extent::Fixed(*extent)).collect()
}
