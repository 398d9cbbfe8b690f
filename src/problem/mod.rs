//! Problems: what must be computed. Axes, inputs, outputs, reference, tolerance and workloads.
//!
//! A problem is a TOML file, a KernelBench `.py` file as it is, or a FlashInfer-Bench Definition with its Workloads.
mod document;
mod error;
pub mod flashinfer;
mod kernelbench;
mod load;
mod parse;

pub use error::{Flaw, PlacedFlaw, ProblemError};

use crate::correctness::ToleranceSpec;
use crate::reference::Waiting;
use crate::tensor::{DType, FillError, Init, InitKind, Seed, TensorSpec, fill};
use std::fmt;
use std::path::PathBuf;

/// What must be computed.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The name, which is also that of a C candidate's function.
    pub name: String,
    /// The file it was loaded from.
    pub path: PathBuf,
    /// The axes, in the order of the file.
    pub axes: Vec<Axis>,
    /// The inputs, in the order in which candidates take them.
    pub inputs: Vec<Input>,
    /// The outputs, in the order in which candidates give them.
    pub outputs: Vec<Output>,
    /// Where the expected outputs come from.
    pub reference: ReferenceSource,
    /// How far outputs may be from the expected ones.
    pub tolerance: ToleranceSpec,
    /// The sizes to evaluate at; at least one.
    pub workloads: Vec<Workload>,
    /// Digest of the problem's file and the reference's; other files that a reference imports are not in it.
    pub digest: blake3::Hash,
    /// The process that described a KernelBench file, to go on as its reference.
    pub described_by: Waiting,
}

/// A named extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The name.
    pub name: String,
    /// Where its size comes from.
    pub size: AxisSize,
}

/// Where the size of an axis comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisSize {
    /// Every workload gives it.
    Var,
    /// The problem gives it.
    Const(u64),
}

/// One extent of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The size of this axis.
    Axis(String),
    /// A number.
    Fixed(u64),
}

/// An input of the problem.
#[derive(Clone, Debug)]
pub struct Input {
    /// The name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape; empty for a scalar.
    pub shape: Vec<Extent>,
    /// Where its contents come from.
    pub contents: Contents,
}

/// Where the contents of an input come from.
#[derive(Clone, Debug)]
pub enum Contents {
    /// kinstr makes them.
    Init(InitTemplate),
    /// The reference makes them: KernelBench's `get_inputs`.
    Reference,
    /// The reference makes them: the parameters and buffers of KernelBench's `Model`.
    State,
}

/// An initialiser whose parameters may be axes.
#[derive(Clone, Debug)]
pub struct InitTemplate {
    kind: InitKind,
    parameters: Vec<Parameter>,
}

/// A parameter of an initialiser.
#[derive(Clone, Debug, PartialEq)]
enum Parameter {
    Value(f64),
    Axis(String),
}

/// An output of the problem.
#[derive(Clone, Debug)]
pub struct Output {
    /// The name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape; empty for a scalar.
    pub shape: Vec<Extent>,
}

/// Where the expected outputs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceSource {
    /// A function in a NumPy or PyTorch file, which of them by what the file imports.
    Python {
        /// The file.
        path: PathBuf,
        /// The function: takes the inputs in order, returns the output or a tuple of them.
        function: String,
    },
    /// `Model` of a KernelBench file, which makes the inputs too.
    KernelBench {
        /// The file.
        path: PathBuf,
    },
    /// An MLIR module with the signature of a candidate.
    Mlir {
        /// The file.
        path: PathBuf,
        /// The entry; by default the one public function.
        entry: Option<String>,
    },
}

impl ReferenceSource {
    /// The file.
    pub fn path(&self) -> &std::path::Path {
        match self {
            ReferenceSource::Python { path, .. }
            | ReferenceSource::KernelBench { path }
            | ReferenceSource::Mlir { path, .. } => path,
        }
    }
}

/// One set of axis values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The name, by default `M=4096,N=1024`.
    pub name: String,
    /// Every axis of the problem with its size, constant ones included, in the problem's order.
    pub axes: Vec<(String, u64)>,
}

impl Workload {
    /// The size of an axis.
    pub fn size(&self, axis: &str) -> Option<u64> {
        self.axes.iter().find(|(name, _)| name == axis).map(|(_, size)| *size)
    }

    /// Binds a shape. Loading has checked that every axis exists, so none is missing here.
    fn bind(&self, shape: &[Extent]) -> Vec<u64> {
        let size = |extent: &Extent| match extent {
            Extent::Fixed(size) => *size,
            Extent::Axis(name) => self.size(name).unwrap_or_default(),
        };
        shape.iter().map(size).collect()
    }
}

impl InitTemplate {
    /// The initialiser for this workload; `None` where it names an axis that the workload lacks.
    fn bind(&self, workload: &Workload) -> Option<Init> {
        let value = |parameter: &Parameter| match parameter {
            Parameter::Value(value) => Some(*value),
            Parameter::Axis(name) => workload.size(name).map(|size| size as f64),
        };
        let values: Option<Vec<f64>> = self.parameters.iter().map(value).collect();
        self.kind.with(&values?)
    }
}

impl Problem {
    /// The inputs of a workload, in the order in which candidates take them.
    pub fn input_specs(&self, workload: &Workload) -> Vec<TensorSpec> {
        let spec = |i: &Input| bind(&i.name, i.dtype, &i.shape, workload);
        self.inputs.iter().map(spec).collect()
    }

    /// The outputs of a workload, in the order in which candidates give them.
    pub fn output_specs(&self, workload: &Workload) -> Vec<TensorSpec> {
        let spec = |o: &Output| bind(&o.name, o.dtype, &o.shape, workload);
        self.outputs.iter().map(spec).collect()
    }

    /// The seeds of a workload, distinct from every other workload's.
    pub fn seeds(&self, workload: &Workload, count: u32) -> Vec<Seed> {
        (0..count).map(|ordinal| self.seed(workload, ordinal, "")).collect()
    }

    /// The `ordinal`-th seed of a workload; another one for every `salt`.
    pub fn seed(&self, workload: &Workload, ordinal: u32, salt: &str) -> Seed {
        Seed::derive(&self.name, &workload.name, ordinal, salt)
    }

    /// Whether the reference, not kinstr, makes the inputs.
    pub fn reference_makes_inputs(&self) -> bool {
        matches!(self.reference, ReferenceSource::KernelBench { .. })
    }

    /// Fills the `index`-th input of a workload. Inputs that the reference makes are left as they are.
    ///
    /// # Errors
    /// When the buffer has another size than the input; what else could go wrong was checked at loading.
    pub fn fill_input(
        &self,
        workload: &Workload,
        index: usize,
        seed: Seed,
        bytes: &mut [u8],
    ) -> Result<(), FillError> {
        let Some(input) = self.inputs.get(index) else { return Ok(()) };
        let Contents::Init(template) = &input.contents else { return Ok(()) };
        let Some(init) = template.bind(workload) else {
            return Err(FillError::Parameter(format!("`{}` is initialised by an unknown axis", input.name)));
        };
        fill(bytes, &bind(&input.name, input.dtype, &input.shape, workload), &init, seed)
    }

    /// `(x: f32[M, N], w: f32[N]) -> (y: f32[M, N])`
    pub fn signature(&self) -> String {
        let inputs: Vec<String> = self.inputs.iter().map(|i| tensor(&i.name, i.dtype, &i.shape)).collect();
        let outputs: Vec<String> = self.outputs.iter().map(|o| tensor(&o.name, o.dtype, &o.shape)).collect();
        format!("({}) -> ({})", inputs.join(", "), outputs.join(", "))
    }
}

fn bind(name: &str, dtype: DType, shape: &[Extent], workload: &Workload) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype, shape: workload.bind(shape) }
}

fn tensor(name: &str, dtype: DType, shape: &[Extent]) -> String {
    let extents: Vec<String> = shape.iter().map(Extent::to_string).collect();
    format!("{name}: {dtype}[{}]", extents.join(", "))
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extent::Axis(name) => f.write_str(name),
            Extent::Fixed(size) => write!(f, "{size}"),
        }
    }
}

#[cfg(test)]
mod tests;
