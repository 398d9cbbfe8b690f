//! References of every kind, run for real: NumPy, PyTorch and KernelBench files in the Python host.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use kinstr::problem::{Problem, ProblemError};
use kinstr::reference::{Reference, ReferenceError, Refused, Variant};
use miette::Diagnostic;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const PROBLEM: &str = r#"
name = "double"
axes = { N = "var" }
inputs.x = { shape = ["N"], dtype = "f32" }
outputs.y = { shape = ["N"], dtype = "f32" }
reference = { file = "reference.py" }
[[workloads]]
axes = { N = 3 }
[[workloads]]
axes = { N = 1000 }
"#;

struct Case {
    folder: TempDir,
}

impl Case {
    fn new(reference: &str) -> Self {
        let case = Case { folder: tempfile::tempdir().unwrap() };
        fs::write(case.path("reference.py"), reference).unwrap();
        fs::write(case.path("problem.toml"), PROBLEM).unwrap();
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn problem(&self) -> Problem {
        Problem::load(&self.path("problem.toml")).unwrap()
    }

    /// Everything a check does before it looks at a candidate.
    fn evaluate(&self) -> Result<(), ReferenceError> {
        let problem = self.problem();
        let mut reference = Reference::start(&problem, None)?;
        reference.prepare(problem.seeds(&problem.workloads[0], 1)[0])?;
        reference.evaluate()
    }

    fn refused(&self) -> Box<Refused> {
        match self.evaluate() {
            Err(ReferenceError::Refused(refused)) => refused,
            other => panic!("expected a refusal, not {other:?}"),
        }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn bytecode_of_others_is_out_of_reach() {
    let case = Case::new(
        "import os\n\ndef run(x):\n    open(os.path.join(os.environ['KINSTR_BYTECODE'], 'torch.pyc'), 'w').close()\n    return x + x\n",
    );
    assert!(case.refused().message.contains("PermissionError"), "{}", case.refused().message);
}

#[test]
fn numpy_outputs_follow_seed_and_workload() {
    let case =
        Case::new("import numpy as np\ndef run(x):\n    print('noise')\n    return x * np.float32(2)\n");
    let problem = case.problem();
    let mut reference = Reference::start(&problem, None).unwrap();
    for (index, workload) in problem.workloads.iter().enumerate() {
        reference.select(index).unwrap();
        let mut seen = Vec::new();
        for seed in problem.seeds(workload, 2) {
            reference.prepare(seed).unwrap();
            reference.evaluate().unwrap();
            let (x, y) = (floats(reference.inputs()[0]), floats(reference.expected()[0]));
            assert_eq!(x.len() as u64, workload.size("N").unwrap());
            assert_eq!(y, x.iter().map(|x| x * 2.0).collect::<Vec<_>>());
            seen.push(x);
        }
        assert_ne!(seen[0], seen[1]);
    }
    assert_eq!(reference.evaluate_again().unwrap(), reference.expected());
    reference.run(0, Variant::Plain).unwrap();
    reference.run(10, Variant::Plain).unwrap();
    assert!(reference.versions().iter().any(|version| version == "1 thread"), "{:?}", reference.versions());
    assert!(reference.select(2).is_err());
}

#[test]
fn pytorch_references_are_told_by_their_imports() {
    let case = Case::new("import torch\ndef run(x):\n    return torch.relu(x)\n");
    case.evaluate().unwrap();
}

#[test]
fn what_the_reference_raises_is_shown_on_its_line() {
    let case = Case::new("import numpy\n\ndef run(x):\n    raise ValueError('no such thing')\n");
    let refused = case.refused();
    assert_eq!(refused.to_string(), "the reference raised ValueError while running: no such thing");
    let place = refused.place.as_ref().unwrap();
    assert_eq!(
        (place.line, &place.source_text.inner()[place.span.clone()]),
        (4, "raise ValueError('no such thing')")
    );
    assert_eq!(refused.code().unwrap().to_string(), "kinstr::reference::raised");
    assert!(!ReferenceError::from(refused).is_infrastructure());
}

#[test]
fn what_it_returns_has_to_be_what_the_problem_says() {
    for (body, kind) in [
        ("return x[:2]", "wrong-shape"),
        ("return x.astype('float64')", "wrong-dtype"),
        ("return x, x", "wrong-count"),
        ("return None", "not-a-tensor"),
        ("import no_such_module", "missing-module"),
    ] {
        let refused = Case::new(&format!("def run(x):\n    {body}\n")).refused();
        assert_eq!(refused.kind, kind, "{refused}");
        assert_eq!(ReferenceError::from(refused).is_infrastructure(), kind == "missing-module");
    }
    assert_eq!(Case::new("def walk(x):\n    return x\n").refused().kind, "no-function");
}

#[test]
fn a_reference_that_ends_its_process_is_told_with_what_it_printed() {
    let case = Case::new(
        "import os, sys\ndef run(x):\n    print('farewell')\n    sys.stdout.flush()\n    os._exit(7)\n",
    );
    let Err(error) = case.evaluate() else { panic!("evaluates") };
    assert!(error.to_string().contains("exited with status 7"), "{error}");
    assert!(error.help().unwrap().to_string().contains("farewell"));
}

const KERNELBENCH: &str = "
import torch
import torch.nn as nn

class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(2, width)

    def forward(self, x):
        return self.linear(x)

def get_inputs():
    return [torch.randn(3, 2)]

def get_init_inputs():
    return [4]
";

#[test]
fn a_kernelbench_file_is_a_problem_as_it_is() {
    let case = Case::new(KERNELBENCH);
    let problem = Problem::load(&case.path("reference.py")).unwrap();
    assert_eq!(
        problem.signature(),
        "(x: f32[3, 2], linear.weight: f32[4, 2], linear.bias: f32[4]) -> (output: f32[3, 4])"
    );
    let mut reference = Reference::start(&problem, None).unwrap();
    let mut weights = Vec::new();
    for seed in problem.seeds(&problem.workloads[0], 2) {
        reference.prepare(seed).unwrap();
        reference.evaluate().unwrap();
        assert_eq!(reference.evaluate_again().unwrap(), reference.expected());
        let tensors: Vec<Vec<f32>> = reference.inputs().into_iter().map(floats).collect();
        let (x, w, b) = (&tensors[0], &tensors[1], &tensors[2]);
        let expected = x[0] * w[0] + x[1] * w[1] + b[0];
        assert!((floats(reference.expected()[0])[0] - expected).abs() < 1e-6);
        weights.push(w.clone());
    }
    assert_ne!(weights[0], weights[1]);
}

#[test]
fn a_python_file_that_is_no_kernelbench_problem_is_refused() {
    let case = Case::new("def run(x):\n    return x\n");
    let Err(ProblemError::Reference(error)) = Problem::load(&case.path("reference.py")) else {
        panic!("loads")
    };
    assert!(error.to_string().contains("not a KernelBench file"), "{error}");
}
