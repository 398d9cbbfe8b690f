//! Does the candidate's entry take what the problem gives?

mod c;

use crate::{
    complaint::Complaint,
    frontend::signature::Written,
    problem::{Extent, Problem},
    tensor::DType,
};
use kinstr_passes::transforms::adapt_entry::{Kind, Parameter, Signature};

/// Checks `written` against `problem`: inputs in order, then outputs, as results or as trailing memrefs in MLIR, as
/// pointers in C.
///
/// # Errors
/// A complaint that shows both signatures and the first thing that does not fit.
pub fn check(problem: &Problem, written: &Written) -> Result<(), Box<Complaint>> {
    let (misfit, wanted, written, help) = match written {
        Written::Mlir(written) => (
            first_misfit(problem, written),
            problem.signature(),
            written.to_string(),
            "the entry takes the inputs in order; outputs are its results, or trailing memref arguments",
        ),
        Written::C(written) => (
            c::first_misfit(problem, written),
            c::wanted(problem, &written.name),
            written.to_string(),
            "the entry takes a pointer for each input and output in order, then every variable axis as int64_t",
        ),
    };
    let Some(misfit) = misfit else { return Ok(()) };
    let text = format!(
        "the entry does not fit the problem: {misfit}\n  problem:   {wanted}\n  candidate: {written}"
    );
    Err(Box::new(Complaint::new("candidate::signature", text).help(help)))
}

fn first_misfit(problem: &Problem, written: &Signature) -> Option<String> {
    let inputs = problem.inputs.iter().map(|input| (&input.name, input.dtype, &input.shape));
    let outputs = problem.outputs.iter().map(|output| (&output.name, output.dtype, &output.shape));
    let wanted: Vec<_> = inputs.chain(outputs).collect();
    let given: Vec<&Parameter> = written.arguments.iter().chain(&written.results).collect();
    let as_results = problem.outputs.len() == written.results.len();
    if given.len() != wanted.len() || !(as_results || written.results.is_empty()) {
        return Some(format!(
            "{} inputs and {} outputs are wanted, {} arguments and {} results are there",
            problem.inputs.len(),
            problem.outputs.len(),
            written.arguments.len(),
            written.results.len()
        ));
    }
    let is_output = |index: usize| index >= problem.inputs.len();
    wanted.iter().zip(given).enumerate().find_map(|(index, ((name, dtype, shape), given))| {
        let place = if index < written.arguments.len() {
            format!("argument {index}")
        } else {
            format!("result {}", index - written.arguments.len())
        };
        parameter_misfit(*dtype, shape, given, is_output(index), index < written.arguments.len(), problem)
            .map(|reason| format!("{place}, `{name}`, {reason}"))
    })
}

fn parameter_misfit(
    dtype: DType,
    shape: &[Extent],
    given: &Parameter,
    output: bool,
    argument: bool,
    problem: &Problem,
) -> Option<String> {
    let element = mlir_element(dtype);
    if given.element != element && !(given.kind != Kind::Scalar && element == "i1" && given.element == "i8") {
        return Some(format!("has elements of type {}, not {element}", given.element));
    }
    if output && argument && given.kind != Kind::Memref {
        return Some("is an output and must be a memref".into());
    }
    if !given.plain {
        return Some("has a layout or memory space of its own; the buffers are dense and row-major".into());
    }
    if given.shape.len() != shape.len() {
        return Some(format!("has rank {}, not {}", given.shape.len(), shape.len()));
    }
    given.shape.iter().zip(shape).enumerate().find_map(|(dimension, (have, extent))| {
        let have = (*have)?;
        problem.workloads.iter().find_map(|workload| {
            let wanted = match extent {
                Extent::Fixed(size) => *size,
                Extent::Axis(axis) => workload.size(axis)?,
            };
            let reason = format!(
                "has size {have} in dimension {dimension}, not {wanted} (workload {})",
                workload.name
            );
            (have != wanted).then_some(reason)
        })
    })
}

/// MLIR's name of an element type; booleans are bytes in memory and `i1` in memrefs.
fn mlir_element(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "i1",
        DType::U8 => "i8",
        other => other.name(),
    }
}
