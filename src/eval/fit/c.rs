//! C: a pointer for each input and output, then the size of every variable axis.

use crate::{
    frontend::signature::CSignature,
    problem::{AxisSize, Problem},
    tensor::DType,
};
use kinstr_passes::ffi::Described;

/// What must be written, as C.
pub fn wanted(problem: &Problem, name: &str) -> String {
    let inputs = problem.inputs.iter().map(|input| format!("const {} *{}", c_name(input.dtype), input.name));
    let outputs = problem.outputs.iter().map(|output| format!("{} *{}", c_name(output.dtype), output.name));
    let axes = axes(problem).map(|axis| format!("int64_t {axis}"));
    format!("void {name}({})", inputs.chain(outputs).chain(axes).collect::<Vec<_>>().join(", "))
}

fn axes(problem: &Problem) -> impl Iterator<Item = &str> {
    problem.axes.iter().filter(|axis| axis.size == AxisSize::Var).map(|axis| axis.name.as_str())
}

/// The first thing that does not fit.
pub fn first_misfit(problem: &Problem, written: &CSignature) -> Option<String> {
    if written.result.class != "void" || written.result.pointer {
        return Some(format!("it returns {}, not void", written.result.text));
    }
    let buffers = problem.inputs.len() + problem.outputs.len();
    let sizes = axes(problem).count();
    if written.parameters.len() != buffers + sizes {
        return Some(format!(
            "{buffers} pointers and {sizes} sizes are wanted, {} parameters are there",
            written.parameters.len()
        ));
    }
    let inputs = problem.inputs.iter().map(|input| (&input.name, input.dtype, false));
    let outputs = problem.outputs.iter().map(|output| (&output.name, output.dtype, true));
    let pointers = inputs.chain(outputs).zip(&written.parameters);
    let pointers =
        pointers.map(|((name, dtype, output), given)| (name.as_str(), pointer(dtype, output, given)));
    let sizes = axes(problem).zip(&written.parameters[buffers..]).map(|(name, given)| (name, size(given)));
    pointers.chain(sizes).enumerate().find_map(|(index, (name, misfit))| {
        misfit.map(|reason| format!("parameter {index}, `{name}`, {reason}"))
    })
}

fn pointer(dtype: DType, output: bool, given: &Described) -> Option<String> {
    let wanted = c_name(dtype);
    if !given.pointer {
        return Some(format!("is {}, not a pointer to {wanted}", given.text));
    }
    if output && given.constant {
        return Some("is an output and must not be const".into());
    }
    (!given.class.is_empty() && !holds(given, dtype)).then(|| format!("is {}, not {wanted} *", given.text))
}

fn size(given: &Described) -> Option<String> {
    let is_size =
        !given.pointer && ["signed", "unsigned"].contains(&given.class.as_str()) && given.bits == 64;
    (!is_size).then(|| format!("is {}, not int64_t", given.text))
}

/// True if the pointed-to type has the representation of `dtype`. Half-precision numbers may be taken as raw bits,
/// which is how C without `_Float16` has them.
fn holds(given: &Described, dtype: DType) -> bool {
    let classes: &[&str] = match dtype {
        DType::F16 => &["float", "unsigned"],
        DType::BF16 => &["bfloat", "unsigned"],
        DType::F32 | DType::F64 => &["float"],
        DType::U8 => &["unsigned"],
        DType::Bool => &["bool", "unsigned"],
        DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::Index => &["signed"],
    };
    classes.contains(&given.class.as_str()) && given.bits == 8 * dtype.bytes() as u64
}

fn c_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 => "_Float16",
        DType::BF16 => "__bf16",
        DType::F32 => "float",
        DType::F64 => "double",
        DType::I8 => "int8_t",
        DType::I16 => "int16_t",
        DType::I32 => "int32_t",
        DType::I64 | DType::Index => "int64_t",
        DType::U8 => "uint8_t",
        DType::Bool => "bool",
    }
}
