//! Candidates that are right, in every form that is taken.

use super::support::*;
use serde_json::Value;
use std::path::Path;

#[test]
fn the_report_is_small_valid_and_alone_on_standard_output() {
    let run = Case::new(&kernel(DOUBLE)).with(&["--format", "json"]).accepted();
    let printed: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(Some(&printed), run.report.as_ref());
    assert!(run.stdout.len() <= 16 << 10, "{} bytes", run.stdout.len());
    let schema = kinstr().arg("schema").output().unwrap();
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&printed).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(run.field("/speedup").as_f64().unwrap() > 0.0);
    assert_eq!(run.field("/workloads/0/certificate/outputs_identical"), true);
}

#[test]
fn show_folds_the_same_report_from_the_directory() {
    let case = Case::new(&kernel(DOUBLE)).with(&["--detail", "full"]);
    let run = case.accepted();
    let show = |arguments: &[&str]| {
        let output = kinstr().arg("show").arg(case.path("out")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert_eq!(show(&["--json"]), std::fs::read(case.path("out/report.json")).unwrap());
    let human = String::from_utf8(show(&[])).unwrap();
    assert_eq!(format!("{human}files: out\n"), run.stdout);
    let nothing = kinstr().args(["show", "nowhere"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("nowhere"));
}

#[test]
fn a_reference_may_be_mlir() {
    let reference = "
func.func @reference(%x: tensor<?xf32>) -> tensor<?xf32> {
  %y = linalg.add ins(%x, %x : tensor<?xf32>, tensor<?xf32>) outs(%x : tensor<?xf32>) -> tensor<?xf32>
  return %y : tensor<?xf32>
}";
    let case = |text: &str| {
        Case::new(&kernel(DOUBLE)).problem("reference.py", "reference.mlir").file("reference.mlir", text)
    };
    case(reference).accepted();
    case("func.func @reference() {\n  return\n}\n").ends(2, &["reference.mlir", "does not fit the problem"]);
    case("func.func @reference(\n").ends(2, &["reference.mlir is not valid MLIR", "reference.mlir:1:"]);
}

#[test]
fn scalars_may_be_passed_by_value() {
    let candidate = "
func.func @scale(%x: memref<?xf32>, %a: f32, %k: index, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  %i = arith.index_cast %k : index to i32
  %b = arith.sitofp %i : i32 to f32
  scf.for %j = %c0 to %n step %c1 {
    %v = memref.load %x[%j] : memref<?xf32>
    %s = arith.mulf %v, %a : f32
    %w = arith.addf %s, %b : f32
    memref.store %w, %y[%j] : memref<?xf32>
  }
  return
}";
    let inputs = "inputs.a = { shape = [], dtype = \"f32\" }
inputs.k = { shape = [], dtype = \"index\", init = { kind = \"uniform\", low = 1, high = 9 } }
outputs.y";
    let reference = "import numpy as np\ndef run(x, a, k):\n    return x * a + np.float32(k)\n";
    Case::new(candidate).problem("outputs.y", inputs).file("reference.py", reference).accepted();
}

/// `y = x + x` in `dtype`, as one op on tensors.
fn doubling(dtype: &str, add: &str) -> String {
    format!(
        "#id = affine_map<(i) -> (i)>
func.func @double(%x: tensor<?x{dtype}>) -> tensor<?x{dtype}> {{
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x{dtype}>
  %e = tensor.empty(%n) : tensor<?x{dtype}>
  %y = linalg.generic {{indexing_maps = [#id, #id], iterator_types = [\"parallel\"]}} ins(%x : tensor<?x{dtype}>) outs(%e : tensor<?x{dtype}>) {{
  ^bb0(%v: {dtype}, %unused: {dtype}):
    %0 = {add} %v, %v : {dtype}
    linalg.yield %0 : {dtype}
  }} -> tensor<?x{dtype}>
  return %y : tensor<?x{dtype}>
}}
"
    )
}

#[test]
fn f64_and_i32_are_taken() {
    let reference = "def run(x):\n    return x + x\n";
    let of = |dtype: &str, add: &str| {
        Case::new(&doubling(dtype, add))
            .problem("\"f32\"", &format!("\"{dtype}\""))
            .file("reference.py", reference)
    };
    of("f64", "arith.addf").accepted();
    let bounds = "dtype = \"i32\", init = { kind = \"uniform\", low = -9, high = 9 } }\noutputs";
    of("i32", "arith.addi").problem("dtype = \"i32\" }\noutputs", bounds).accepted();
    of("bf16", "arith.addf").ends(2, &["NumPy has no bf16", "use a PyTorch reference"]);
}

#[test]
fn bf16_is_taken_with_a_pytorch_reference() {
    Case::new(&doubling("bf16", "arith.addf"))
        .problem("\"f32\"", "\"bf16\"")
        .file("reference.py", "import torch\ndef run(x):\n    return x + x\n")
        .accepted();
}

#[test]
fn a_kernelbench_file_is_a_problem() {
    let case = Case::new(&doubling("f32", "arith.addf"));
    let text = "import torch\nimport torch.nn as nn\n\nclass Model(nn.Module):\n    def forward(self, x):\n        \
        return x + x\n\ndef get_inputs():\n    return [torch.randn(999)]\n\ndef get_init_inputs():\n    return []\n";
    let run = case.file("bench.py", text).problem_file("bench.py").accepted();
    assert_eq!(run.field("/problem"), "bench");
}

#[test]
fn a_schedule_is_taken() {
    let schedule = "
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %generic = transform.structured.match ops{[\"linalg.generic\"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %generic tile_sizes [128] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
";
    let (map, function) =
        doubling("f32", "arith.addf").split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    Case::new(&format!("{map}\n{schedule}{function}}}\n")).accepted();
}

#[test]
fn an_example_fits_its_kernelbench_file() {
    let example = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/01-softmax");
        std::fs::read_to_string(folder.join(name)).unwrap()
    };
    let bench = example("kernelbench.py").replace("M, N = 4, 1048576", "M, N = 4, 512");
    let run = Case::new(&example("linalg.mlir")).file("bench.py", &bench).problem_file("bench.py").accepted();
    assert_eq!(run.field("/workloads/0/axes"), serde_json::json!({}));
}
