//! From the text of a problem file to a problem, checked: what this gives back can be run.
use super::document::{Document, Field, Flawed, Named, Table};
use super::{
    Axis, AxisSize, Contents, Extent, Flaw, InitTemplate, Input, Output, Parameter, Problem, ReferenceSource,
    Workload,
};
use crate::correctness::{Overrides, ToleranceSpec};
use crate::near;
use crate::tensor::{DType, Init, InitKind, TensorSpec};
use std::path::Path;

const KEYS: [&str; 8] =
    ["name", "description", "axes", "inputs", "outputs", "reference", "tolerance", "workloads"];

pub(super) fn problem(document: Document<'_>) -> Flawed<Problem> {
    let parsed = document.parse()?;
    let root = Table::new(document, "the problem", (parsed.get_ref(), 0..0), &KEYS)?;
    if let Some(description) = root.get("description") {
        description.string()?;
    }
    let name = name(&root)?;
    let axes = axes(&root)?;
    let inputs = inputs(&root, &axes)?;
    let outputs = outputs(&root, &axes)?;
    refuse_duplicates(&root)?;
    let reference = reference(&root)?;
    let tolerance = tolerance(&root)?;
    let workloads = workloads(&root, &axes)?;
    let digest = blake3::hash(document.text.as_bytes());
    let path = document.path.to_owned();
    let described_by = Default::default();
    let problem =
        Problem { name, path, axes, inputs, outputs, reference, tolerance, workloads, digest, described_by };
    check_sizes(&root, &problem)?;
    Ok(problem)
}

fn name(root: &Table<'_>) -> Flawed<String> {
    let field = root.require("name", "for example: name = \"row-softmax\"")?;
    let name = field.string()?;
    if name.is_empty() {
        return Err(field.bad_value("a name has at least one letter"));
    }
    Ok(name.to_owned())
}

fn axes(root: &Table<'_>) -> Flawed<Vec<Axis>> {
    let Some(field) = root.get("axes") else { return Ok(Vec::new()) };
    field.named("axis")?.into_iter().map(axis).collect()
}

fn axis(entry: Named<'_>) -> Flawed<Axis> {
    let size = match entry.field.as_str() {
        Some("var") => AxisSize::Var,
        Some(_) => return Err(entry.field.bad_value("an axis is \"var\", or a number if it is constant")),
        None => AxisSize::Const(entry.field.size()?),
    };
    Ok(Axis { name: entry.name, size })
}

fn inputs(root: &Table<'_>, axes: &[Axis]) -> Flawed<Vec<Input>> {
    let Some(field) = root.get("inputs") else { return Ok(Vec::new()) };
    field.named("input")?.into_iter().map(|entry| input(entry, axes)).collect()
}

fn input(entry: Named<'_>, axes: &[Axis]) -> Flawed<Input> {
    let table = entry.field.table(format!("input `{}`", entry.name), &["shape", "dtype", "init"])?;
    let (shape, dtype) = (shape(&table, axes)?, dtype(&table)?);
    let contents = match table.get("init") {
        Some(field) => Contents::Init(init(&field, &entry.name, axes)?),
        None => default_init(&entry, dtype)?,
    };
    Ok(Input { name: entry.name, dtype, shape, contents })
}

fn default_init(entry: &Named<'_>, dtype: DType) -> Flawed<Contents> {
    let template = |kind: &str, values: &[f64]| {
        let kind = InitKind::ALL.into_iter().find(|k| k.name == kind)?;
        Some(InitTemplate { kind, parameters: values.iter().map(|v| Parameter::Value(*v)).collect() })
    };
    let default = match Init::default_for(dtype) {
        Some(Init::Normal { mean, std }) => template("normal", &[mean, std]),
        Some(Init::Bernoulli { p }) => template("bernoulli", &[p]),
        _ => None,
    };
    default.map(Contents::Init).ok_or_else(|| {
        let help = "say what it holds, for example: init = { kind = \"uniform\", low = 0, high = \"N\" }";
        entry.field.complain(Flaw::MissingInit(entry.name.clone()), Some(help.to_owned()))
    })
}

fn init(field: &Field<'_>, input: &str, axes: &[Axis]) -> Flawed<InitTemplate> {
    const PARAMETERS: [&str; 9] = ["kind", "mean", "std", "low", "high", "value", "start", "step", "p"];
    let what = format!("`init` of input `{input}`");
    let table = field.table(&what, &PARAMETERS)?;
    let kind_field = table.require("kind", "for example: init = { kind = \"normal\" }")?;
    let kind_name = kind_field.string()?;
    let Some(kind) = InitKind::ALL.into_iter().find(|kind| kind.name == kind_name) else {
        let help = near::hint(kind_name, InitKind::ALL.iter().map(|kind| kind.name));
        return Err(kind_field.complain(Flaw::UnknownInit(kind_name.to_owned()), Some(help)));
    };
    let known: Vec<&'static str> = kind.parameters.iter().map(|(name, _)| *name).chain(["kind"]).collect();
    let table = field.table(format!("{what} of kind `{kind_name}`"), &known)?;
    let parameter = |(name, default): &(&'static str, Option<f64>)| match (table.get(name), default) {
        (Some(field), _) => parameter(&field, axes),
        (None, Some(default)) => Ok(Parameter::Value(*default)),
        (None, None) => table.require(name, "this kind has no default for it").map(|_| Parameter::Value(0.0)),
    };
    let parameters = kind.parameters.iter().map(parameter).collect::<Flawed<_>>()?;
    Ok(InitTemplate { kind, parameters })
}

fn parameter(field: &Field<'_>, axes: &[Axis]) -> Flawed<Parameter> {
    match field.as_str() {
        Some(_) => known_axis(field, axes).map(Parameter::Axis),
        None => field.number().map(Parameter::Value),
    }
}

fn outputs(root: &Table<'_>, axes: &[Axis]) -> Flawed<Vec<Output>> {
    let help = "for example: outputs.y = { shape = [\"M\", \"N\"], dtype = \"f32\" }";
    let field = root.require("outputs", help)?;
    let entries = field.named("output")?;
    if entries.is_empty() {
        return Err(field.complain(Flaw::NoOutputs, Some(help.to_owned())));
    }
    entries.into_iter().map(|entry| output(entry, axes)).collect()
}

fn output(entry: Named<'_>, axes: &[Axis]) -> Flawed<Output> {
    let table = entry.field.table(format!("output `{}`", entry.name), &["shape", "dtype"])?;
    Ok(Output { dtype: dtype(&table)?, shape: shape(&table, axes)?, name: entry.name })
}

/// TOML itself refuses two inputs of one name; an input and an output of one name are ours to refuse.
fn refuse_duplicates(root: &Table<'_>) -> Flawed<()> {
    let names = |key| root.get(key).map_or(Ok(Vec::new()), |field| field.named("tensor"));
    let inputs = names("inputs")?;
    match names("outputs")?.iter().find(|output| inputs.iter().any(|input| input.name == output.name)) {
        Some(output) => {
            let help = "an output that takes its input's place still needs a name of its own";
            let flaw = Flaw::DuplicateName(output.name.clone());
            Err(root.document.complain(flaw, output.span.clone(), Some(help.to_owned())))
        }
        None => Ok(()),
    }
}

fn shape(table: &Table<'_>, axes: &[Axis]) -> Flawed<Vec<Extent>> {
    let field = table.require("shape", "for example: shape = [\"M\", 64]; a scalar has shape = []")?;
    let extent = |item: Field<'_>| match item.as_str() {
        Some(_) => known_axis(&item, axes).map(Extent::Axis),
        None => item.size().map(Extent::Fixed),
    };
    field.array()?.into_iter().map(extent).collect()
}

fn known_axis(field: &Field<'_>, axes: &[Axis]) -> Flawed<String> {
    let name = field.string()?;
    match axes.iter().any(|axis| axis.name == name) {
        true => Ok(name.to_owned()),
        false => {
            let help = near::hint(name, axes.iter().map(|axis| axis.name.as_str()));
            Err(field.complain(Flaw::UnknownAxis(name.to_owned()), Some(help)))
        }
    }
}

fn dtype(table: &Table<'_>) -> Flawed<DType> {
    let field = table.require("dtype", "for example: dtype = \"f32\"")?;
    let name = field.string()?;
    name.parse().map_err(|_| {
        let help = near::hint(name, DType::ALL.iter().map(|dtype| dtype.name()));
        field.complain(Flaw::UnknownDtype(name.to_owned()), Some(help))
    })
}

fn reference(root: &Table<'_>) -> Flawed<ReferenceSource> {
    let help = "for example: reference = { file = \"reference.py\", function = \"run\" }";
    let table = root.require("reference", help)?.table("`reference`", &["file", "function"])?;
    let field = table.require("file", help)?;
    let written = field.string()?;
    let path = root.document.path.parent().unwrap_or(Path::new("")).join(written);
    if let Err(error) = std::fs::File::open(&path).and_then(|file| file.metadata()) {
        let flaw = Flaw::MissingReference { path: written.to_owned(), reason: error.to_string() };
        let help = "the path is taken from the folder of the problem file";
        return Err(field.complain(flaw, Some(help.to_owned())));
    }
    let function = table.get("function").map(|field| field.string().map(str::to_owned)).transpose()?;
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("py") => {
            Ok(ReferenceSource::Python { path, function: function.unwrap_or_else(|| "run".to_owned()) })
        }
        Some("mlir") => Ok(ReferenceSource::Mlir { path, entry: function }),
        _ => Err(field.bad_value("a reference is a .py or an .mlir file")),
    }
}

fn tolerance(root: &Table<'_>) -> Flawed<ToleranceSpec> {
    const KEYS: [&str; 5] = ["atol", "rtol", "max_ulp", "matched_ratio", "error_cap"];
    let Some(field) = root.get("tolerance") else { return Ok(ToleranceSpec::Auto) };
    match field.as_str() {
        Some("auto") => return Ok(ToleranceSpec::Auto),
        Some(_) => return Err(field.bad_value("a tolerance is \"auto\" or a table")),
        None => {}
    }
    let table = field.table("`tolerance`", &KEYS)?;
    let number = |key| table.get(key).map(|field| not_negative(&field)).transpose();
    let overrides = Overrides {
        atol: number("atol")?,
        rtol: number("rtol")?,
        max_ulp: table.get("max_ulp").map(|field| field.size()).transpose()?,
        matched_ratio: number("matched_ratio")?,
        error_cap: number("error_cap")?,
    };
    match (overrides.matched_ratio, table.get("matched_ratio")) {
        (Some(ratio), Some(field)) if ratio > 1.0 || ratio == 0.0 => {
            Err(field.bad_value("a ratio is above 0 and at most 1"))
        }
        (Some(ratio), Some(field)) if ratio < 1.0 && overrides.error_cap.is_none() => Err(field
            .bad_value("elements that need not match need an `error_cap`, the largest error they may have")),
        _ => Ok(ToleranceSpec::Given(overrides)),
    }
}

fn not_negative(field: &Field<'_>) -> Flawed<f64> {
    match field.number()? {
        number if number < 0.0 => Err(field.bad_value("not below 0")),
        number => Ok(number),
    }
}

fn workloads(root: &Table<'_>, axes: &[Axis]) -> Flawed<Vec<Workload>> {
    let help = "add at least one:\n[[workloads]]\naxes = { M = 4096, N = 1024 }";
    let none = |span| Err(root.document.complain(Flaw::NoWorkloads, span, Some(help.to_owned())));
    let Some(field) = root.get("workloads") else { return none(root.span.clone()) };
    let items = field.array()?;
    if items.is_empty() {
        return none(field.value.span());
    }
    let mut workloads: Vec<Workload> = Vec::new();
    for item in items {
        let workload = workload(&item, axes)?;
        if workloads.iter().any(|other| other.name == workload.name) {
            let help = "workloads of the same sizes need a `name` each";
            return Err(item.complain(Flaw::DuplicateName(workload.name), Some(help.to_owned())));
        }
        workloads.push(workload);
    }
    Ok(workloads)
}

fn workload(item: &Field<'_>, axes: &[Axis]) -> Flawed<Workload> {
    let table = item.table("a workload", &["name", "axes"])?;
    let given = table.get("axes").map_or(Ok(Vec::new()), |field| field.named("axis"))?;
    let variable = || axes.iter().filter(|axis| axis.size == AxisSize::Var).map(|axis| axis.name.as_str());
    if let Some(stranger) = given.iter().find(|entry| !variable().any(|name| name == entry.name)) {
        let constant = axes.iter().any(|axis| axis.name == stranger.name);
        let help = match constant {
            true => format!("`{}` is constant: the problem gives its size", stranger.name),
            false => near::hint(&stranger.name, variable().collect::<Vec<_>>()),
        };
        let flaw = Flaw::UnknownAxis(stranger.name.clone());
        return Err(table.document.complain(flaw, stranger.span.clone(), Some(help)));
    }
    let size = |axis: &Axis| match (axis.size, given.iter().find(|entry| entry.name == axis.name)) {
        (AxisSize::Const(size), _) => Ok((axis.name.clone(), size)),
        (AxisSize::Var, Some(entry)) => Ok((axis.name.clone(), entry.field.size()?)),
        (AxisSize::Var, None) => {
            let flaw = Flaw::MissingKey { key: axis.name.clone(), within: "`axes` of a workload".to_owned() };
            let help = "a workload gives the size of every axis that is \"var\"";
            Err(item.complain(flaw, Some(help.to_owned())))
        }
    };
    let sizes = axes.iter().map(size).collect::<Flawed<Vec<_>>>()?;
    let name = match table.get("name") {
        Some(field) => field.string()?.to_owned(),
        None => default_name(&given, &sizes),
    };
    Ok(Workload { name, axes: sizes })
}

fn default_name(given: &[Named<'_>], sizes: &[(String, u64)]) -> String {
    let shown = sizes.iter().filter(|(name, _)| given.iter().any(|entry| entry.name == *name));
    let parts: Vec<String> = shown.map(|(name, size)| format!("{name}={size}")).collect();
    if parts.is_empty() { "default".to_owned() } else { parts.join(",") }
}

/// Every tensor of every workload fits the address space, and can hold what it is initialised with.
fn check_sizes(root: &Table<'_>, problem: &Problem) -> Flawed<()> {
    let Some(field) = root.get("workloads") else { return Ok(()) };
    for (workload, item) in problem.workloads.iter().zip(field.array()?) {
        let (inputs, outputs) = (problem.input_specs(workload), problem.output_specs(workload));
        let too_large = |spec: &&TensorSpec| spec.checked_bytes().is_none();
        if let Some(spec) = inputs.iter().chain(&outputs).find(too_large) {
            return Err(item.bad_value(format!("`{spec}` does not fit any memory")));
        }
        for (input, spec) in problem.inputs.iter().zip(&inputs) {
            let Contents::Init(template) = &input.contents else { continue };
            let checked = template.bind(workload).map_or(Ok(()), |init| init.check(spec));
            checked.map_err(|error| item.bad_value(format!("input `{}`: {error}", input.name)))?;
        }
    }
    Ok(())
}
