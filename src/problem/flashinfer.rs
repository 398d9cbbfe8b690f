//! A FlashInfer-Bench Definition as a problem, with the Workloads that lie beside it, both as they are.
//!
//! Workloads are JSON lines, bare or as Traces without a solution, in `NAME.jsonl` beside the definition; or where that
//! project keeps them, with `workloads` in place of `definitions` in the path. What cannot be had is refused by name:
//! tensors from safetensors, random integers of which nobody says what they count, scalars that change from workload to
//! workload. `constraints` are the reference's to hold to.
use super::{
    Axis, AxisSize, Contents, Extent, InitTemplate, Input, Output, Parameter, Problem, ProblemError,
    ReferenceSource, Workload,
};
use crate::correctness::ToleranceSpec;
use crate::store::{cache_dir, write_atomically};
use crate::tensor::{DType, Init, InitKind};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};

/// Entries in the order of the file, which is that of a candidate's arguments.
type Ordered = Map<String, Value>;

#[derive(Deserialize)]
struct Definition {
    name: String,
    axes: Ordered,
    inputs: Ordered,
    outputs: Ordered,
    reference: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum AxisEntry {
    Const { value: u64 },
    Var,
}

#[derive(Deserialize)]
struct Tensor {
    /// Null for a scalar.
    shape: Option<Vec<String>>,
    dtype: String,
}

/// A workload, as far as kinstr reads it.
#[derive(Deserialize)]
struct Line {
    axes: Map<String, Value>,
    inputs: Map<String, Value>,
    uuid: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Filling {
    Random,
    Scalar { value: Value },
    Safetensors { path: String },
}

/// Why a definition or its workloads cannot be taken, and which file says so.
struct Unfit(PathBuf, String);

type Fit<T> = Result<T, Unfit>;

/// The problem that a definition and its workloads are.
pub(super) fn problem(path: &Path, text: &str) -> Result<Problem, ProblemError> {
    parsed(path, text).map_err(|Unfit(path, reason)| ProblemError::Definition { path, reason })
}

fn parsed(path: &Path, text: &str) -> Fit<Problem> {
    let unfit = |reason: String| Unfit(path.to_owned(), reason);
    let definition: Definition = serde_json::from_str(text).map_err(|error| unfit(error.to_string()))?;
    let axes = definition.axes.iter().map(|entry| axis(entry).map_err(unfit)).collect::<Fit<Vec<_>>>()?;
    let tensors = |entries: &Ordered| {
        entries.iter().map(|entry| tensor(entry, &axes).map_err(unfit)).collect::<Fit<Vec<_>>>()
    };
    let (inputs, outputs) = (tensors(&definition.inputs)?, tensors(&definition.outputs)?);
    let (file, values) = workload_lines(path)?;
    let elsewhere = |reason: String| Unfit(file.clone(), reason);
    let lines =
        values.iter().map(|value| Line::deserialize(value).map_err(|error| elsewhere(error.to_string())));
    let lines = lines.collect::<Fit<Vec<_>>>()?;
    let workloads =
        lines.iter().map(|line| workload(line, &axes).map_err(elsewhere)).collect::<Fit<Vec<_>>>()?;
    let input = |(name, dtype, shape): (String, DType, Vec<Extent>)| {
        let contents = contents(&name, dtype, &lines).map_err(elsewhere)?;
        Ok(Input { name, dtype, shape, contents: Contents::Init(contents) })
    };
    Ok(Problem {
        name: definition.name,
        path: path.to_owned(),
        inputs: inputs.into_iter().map(input).collect::<Fit<_>>()?,
        outputs: outputs.into_iter().map(|(name, dtype, shape)| Output { name, dtype, shape }).collect(),
        axes,
        reference: reference(&definition.reference).map_err(unfit)?,
        tolerance: ToleranceSpec::Auto,
        workloads,
        digest: blake3::hash(format!("{text}\0{}", Value::Array(values)).as_bytes()),
        described_by: Default::default(),
    })
}

fn axis((name, value): (&String, &Value)) -> Result<Axis, String> {
    let size = match AxisEntry::deserialize(value).map_err(|error| format!("axis `{name}`: {error}"))? {
        AxisEntry::Const { value } => AxisSize::Const(value),
        AxisEntry::Var => AxisSize::Var,
    };
    Ok(Axis { name: name.clone(), size })
}

fn tensor((name, value): (&String, &Value), axes: &[Axis]) -> Result<(String, DType, Vec<Extent>), String> {
    let tensor = Tensor::deserialize(value).map_err(|error| format!("tensor `{name}`: {error}"))?;
    let dtype = tensor.dtype.parse().map_err(|error| format!("tensor `{name}`: {error}"))?;
    let extent = |axis: String| match axes.iter().any(|known| known.name == axis) {
        true => Ok(Extent::Axis(axis)),
        false => axis
            .parse()
            .map(Extent::Fixed)
            .map_err(|_| format!("tensor `{name}` has an unknown axis `{axis}`")),
    };
    let shape = tensor.shape.unwrap_or_default().into_iter().map(extent).collect::<Result<_, _>>()?;
    Ok((name.clone(), dtype, shape))
}

fn workload(line: &Line, axes: &[Axis]) -> Result<Workload, String> {
    let size = |axis: &Axis| {
        let given = line.axes.get(&axis.name).and_then(Value::as_u64);
        let size = match axis.size {
            AxisSize::Const(size) => Some(size),
            AxisSize::Var => given,
        };
        let size =
            size.ok_or_else(|| format!("workload {} does not say how large `{}` is", line.uuid, axis.name))?;
        Ok::<_, String>((axis.name.clone(), size))
    };
    Ok(Workload { name: line.uuid.clone(), axes: axes.iter().map(size).collect::<Result<_, _>>()? })
}

/// What an input holds: the same in all workloads, but for its size.
fn contents(name: &str, dtype: DType, lines: &[Line]) -> Result<InitTemplate, String> {
    let mut scalar = None;
    for line in lines {
        let value =
            line.inputs.get(name).ok_or_else(|| format!("workload {} has no input `{name}`", line.uuid))?;
        let filling = Filling::deserialize(value).map_err(|error| format!("input `{name}`: {error}"))?;
        let value = match filling {
            Filling::Random => None,
            Filling::Scalar { value } => {
                let number = value.as_f64().or(value.as_bool().map(f64::from));
                Some(number.ok_or_else(|| format!("input `{name}`: {value} is no number"))?)
            }
            Filling::Safetensors { path } => {
                return Err(format!(
                    "input `{name}` comes from {path}: safetensors are not read in this version"
                ));
            }
        };
        if *scalar.get_or_insert(value) != value {
            return Err(format!(
                "input `{name}` is another scalar in another workload: keep these in files of their own"
            ));
        }
    }
    let template = |kind: &str, values: &[f64]| {
        let kind = InitKind::ALL.into_iter().find(|known| known.name == kind)?;
        Some(InitTemplate { kind, parameters: values.iter().map(|value| Parameter::Value(*value)).collect() })
    };
    let template = match (scalar.flatten(), Init::default_for(dtype)) {
        (Some(value), _) => template("constant", &[value]),
        (None, Some(Init::Normal { mean, std })) => template("normal", &[mean, std]),
        (None, Some(Init::Bernoulli { p })) => template("bernoulli", &[p]),
        (None, _) => None,
    };
    template.ok_or_else(|| {
        format!("input `{name}` is random and {dtype}: write the problem as TOML, whose `init` says what it may hold")
    })
}

/// The workloads of the definition at `path`, as they are written, and the file that they are from.
fn workload_lines(path: &Path) -> Fit<(PathBuf, Vec<Value>)> {
    let beside = path.with_extension("jsonl");
    let elsewhere: PathBuf = beside
        .components()
        .map(|part| if part.as_os_str() == "definitions" { "workloads".as_ref() } else { part.as_os_str() })
        .collect();
    let file = if beside.is_file() { beside.clone() } else { elsewhere };
    let unfit = |reason: String| Unfit(file.clone(), reason);
    let text = fs::read_to_string(&file).map_err(|error| {
        Unfit(path.to_owned(), format!("there are no workloads for it: {}: {error}", beside.display()))
    })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let value = |(number, line): (usize, &str)| {
        let value: Value =
            serde_json::from_str(line).map_err(|error| unfit(format!("line {}: {error}", number + 1)))?;
        Ok(value.get("workload").cloned().unwrap_or(value))
    };
    let values = lines.map(value).collect::<Fit<Vec<_>>>()?;
    if values.is_empty() { Err(unfit("it holds no workloads".into())) } else { Ok((file, values)) }
}

/// The workloads of a definition, as Traces repeat them.
///
/// # Errors
/// [`ProblemError::Definition`].
pub fn workloads(path: &Path) -> Result<Vec<Value>, ProblemError> {
    let lines = workload_lines(path).map(|(_, values)| values);
    lines.map_err(|Unfit(path, reason)| ProblemError::Definition { path, reason })
}

/// The reference's text as a file, which a host can import.
fn reference(text: &str) -> Result<ReferenceSource, String> {
    let digest = blake3::hash(text.as_bytes()).to_hex();
    let folder = cache_dir().join("references");
    let path = folder.join(format!("{}.py", &digest[..16]));
    let written = fs::create_dir_all(&folder).map_err(|error| error.to_string());
    written.and_then(|()| write_atomically(&path, text.as_bytes()).map_err(|error| error.to_string()))?;
    Ok(ReferenceSource::Python { path, function: "run".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: &str = r#"{"name": "scale", "op_type": "x", "axes": {"N": {"type": "var"}, "K": {"type": "const", "value": 4}},
        "inputs": {"x": {"shape": ["N", "K"], "dtype": "float32"}, "a": {"shape": null, "dtype": "float32"}},
        "outputs": {"y": {"shape": ["N", "K"], "dtype": "float32"}}, "reference": "def run(x, a):\n    return x * a\n"}"#;

    /// The problem, or why there is none.
    fn load(definition: &str, workloads: &str) -> Result<Problem, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("definitions/x/scale.json");
        for place in ["definitions/x", "workloads/x"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        fs::write(&path, definition).unwrap();
        fs::write(folder.path().join("workloads/x/scale.jsonl"), workloads).unwrap();
        Problem::load(&path).map_err(|error| error.to_string())
    }

    fn line(uuid: &str, size: u32, x: &str, a: &str) -> String {
        format!(r#"{{"axes": {{"N": {size}}}, "inputs": {{"x": {x}, "a": {a}}}, "uuid": "{uuid}"}}"#)
    }

    const RANDOM: &str = r#"{"type": "random"}"#;
    const HALF: &str = r#"{"type": "scalar", "value": 0.5}"#;

    #[test]
    fn a_definition_with_its_workloads_is_a_problem() {
        let bare = line("one", 8, RANDOM, HALF);
        let traced = line("two", 16, RANDOM, HALF);
        let traced = format!(r#"{{"definition": "scale", "workload": {traced}, "solution": null}}"#);
        let problem = load(DEFINITION, &format!("{bare}\n\n{traced}\n")).unwrap();
        assert_eq!(problem.signature(), "(x: f32[N, K], a: f32[]) -> (y: f32[N, K])");
        let sizes: Vec<_> =
            problem.workloads.iter().map(|w| (w.name.as_str(), w.size("N"), w.size("K"))).collect();
        assert_eq!(sizes, [("one", Some(8), Some(4)), ("two", Some(16), Some(4))]);
        let mut scalar = [0; 4];
        problem
            .fill_input(&problem.workloads[0], 1, problem.seed(&problem.workloads[0], 0, ""), &mut scalar)
            .unwrap();
        assert_eq!(f32::from_le_bytes(scalar), 0.5);
        let text = fs::read_to_string(problem.reference.path()).unwrap();
        assert!(text.starts_with("def run(x, a):"), "{text}");
    }

    #[test]
    fn what_is_not_taken_is_refused_by_name() {
        let tensors = r#"{"type": "safetensors", "path": "w.safetensors", "tensor_key": "x"}"#;
        let sound = line("one", 8, RANDOM, HALF);
        let other = line("two", 8, RANDOM, r#"{"type": "scalar", "value": 2}"#);
        let integers =
            DEFINITION.replace(r#"["N", "K"], "dtype": "float32"}, "a""#, r#"["N"], "dtype": "int32"}, "a""#);
        let cases = [
            (DEFINITION, line("one", 8, tensors, HALF), "safetensors are not read"),
            (DEFINITION, format!("{sound}\n{other}"), "`a` is another scalar in another workload"),
            (&integers, sound.clone(), "`x` is random and i32"),
            (DEFINITION, String::new(), "it holds no workloads"),
            (DEFINITION, sound.replace("\"N\"", "\"M\""), "workload one does not say how large `N` is"),
            (&DEFINITION.replace("float32", "float8_e4m3"), sound.clone(), "unknown dtype `float8_e4m3`"),
            (&DEFINITION.replace("[\"N\", \"K\"]", "[\"N\", \"J\"]"), sound.clone(), "unknown axis `J`"),
            ("{", sound, "EOF"),
        ];
        for (definition, workloads, words) in cases {
            let said = load(definition, &workloads).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }
}
