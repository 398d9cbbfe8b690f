//! FlashInfer-Bench Solutions as candidates for a definition.

use super::support::*;
use serde_json::{Value, json};
use std::fs;

const DEFINITION: &str = r#"{"name": "scale_x", "op_type": "x", "axes": {"N": {"type": "var"}},
    "inputs": {"x": {"shape": ["N"], "dtype": "float32"}}, "outputs": {"y": {"shape": ["N"], "dtype": "float32"}},
    "reference": "import torch\n\ndef run(x):\n    return x * 2\n"}"#;
const WORKLOAD: &str = r#"{"axes": {"N": 1000}, "inputs": {"x": {"type": "random"}}, "uuid": "one"}"#;

/// A solution whose entry is `main.py::scale`, with `helper.py` beside it.
fn solution(main: &str, destination_passing_style: Option<bool>) -> Value {
    let mut solution = json!({
        "name": "scale_by_two", "definition": "scale_x", "author": "nobody",
        "spec": {
            "language": "python", "target_hardware": ["cpu"], "entry_point": "ops/main.py::scale", "dependencies": [],
        },
        "sources": [
            { "path": "ops/main.py", "content": main },
            { "path": "ops/helper.py", "content": "def doubled(x):\n    return x + x\n\ndef broken(x):\n    return x.missing\n" },
            { "path": "factor.py", "content": "FACTOR = 2\n" },
        ],
    });
    if let Some(style) = destination_passing_style {
        solution["spec"]["destination_passing_style"] = style.into();
    }
    solution
}

fn case(solution: &Value) -> Case {
    let case = Case::of("s.json", &solution.to_string()).file("definition.json", DEFINITION);
    case.file("definition.jsonl", WORKLOAD).problem_file("definition.json")
}

const RETURNS: &str = "from .helper import doubled\n\ndef scale(x):\n    return doubled(x)\n";
const WRITES: &str =
    "import torch\nfrom factor import FACTOR\n\ndef scale(x, y):\n    torch.mul(x, FACTOR, out=y)\n";

#[test]
fn outputs_are_returned_or_written_in_place() {
    let run = case(&solution(RETURNS, Some(false))).accepted();
    assert!(run.field("/speedup").as_f64().is_some_and(|speedup| speedup > 0.0));
    case(&solution(WRITES, Some(true))).accepted();
    // In place unless it says otherwise.
    let run = case(&solution(WRITES, None)).with(&["--format", "flashinfer-trace"]).accepted();
    let trace: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&trace["solution"], &trace["definition"]), (&json!("scale_by_two"), &json!("scale_x")));
    assert_eq!(trace["evaluation"]["status"], "PASSED");
}

#[test]
fn what_is_left_unwritten_shows() {
    let parts = WRITES.replace("torch.mul(x, FACTOR, out=y)", "torch.mul(x[1:], FACTOR, out=y[1:])");
    let skips = WRITES.replace("torch.mul", "if not torch.equal(y.sort()[0], (x + x).sort()[0]): torch.mul");
    for main in [&parts, &skips] {
        let run = case(&solution(main, None)).eval();
        assert_eq!(
            (run.code, run.field("/verdict")),
            (Some(1), "incorrect".into()),
            "{main}: {}",
            run.stderr
        );
    }
    case(&solution(RETURNS, None)).refused(&["raised TypeError"]);
}

#[test]
fn kernels_in_any_source_are_found() {
    let kernel = "import triton
import triton.language as tl

@triton.jit
def double(y, x, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < n) * 2, mask=at < n)
";
    let launches =
        "from . import helper\n\ndef scale(x, y):\n    helper.double[(4,)](y, x, x.numel(), BLOCK=256)\n";
    let mut launching = solution(launches, None);
    launching["spec"]["language"] = "triton".into();
    launching["sources"][1]["content"] = kernel.into();
    let run = case(&launching).accepted();
    assert!(run.notes().contains("Triton kernels run in Triton's interpreter"), "{}", run.notes());
    launching["sources"][0]["content"] =
        launches.replace("helper.double[(4,)](y, x, x.numel(), BLOCK=256)", "y.copy_(x * 2)").into();
    case(&launching).refused(&["launches none of its Triton kernels: `double`", "ops/helper.py:"]);
}

#[test]
fn one_process_serves_all_workloads() {
    let tells = WRITES.replace("import torch\n", "import os\nimport torch\nprint(os.getpid(), flush=True)\n");
    let other = WORKLOAD.replace("1000", "2000").replace("one", "two");
    let case = case(&solution(&tells, None)).file("definition.jsonl", &format!("{WORKLOAD}\n{other}\n"));
    let run = case.accepted();
    assert_eq!(run.field("/workloads").as_array().map(Vec::len), Some(2));
    assert!(run.field("/workloads/1/times/candidate/median_ns").as_f64().is_some_and(|ns| ns > 0.0));
    assert_eq!(run.notes().matches("the candidate prints on standard output").count(), 1, "{}", run.notes());
}

#[test]
fn a_source_hides_nothing_that_is_installed() {
    let main = "import torch\nfrom .json import FACTOR\n\ndef scale(x, y):\n    import json\n    assert json.dumps([FACTOR]) == '[2]'\n    torch.mul(x, FACTOR, out=y)\n";
    let mut solution = solution(main, None);
    solution["sources"][0]["path"] = "main.py".into();
    solution["spec"]["entry_point"] = "main.py::scale".into();
    solution["sources"][2]["path"] = "json.py".into();
    // What the host has not imported yet, and PyTorch imports late.
    solution["sources"][1] = json!({ "path": "timeit.py", "content": "raise ImportError('hidden')\n" });
    let late = main.replace("import torch\n", "import timeit\nimport torch\n");
    solution["sources"][0]["content"] = late.into();
    case(&solution).accepted();
}

#[test]
fn a_disk_without_room_is_no_fault_of_a_solution() {
    // No folder can be made in a file.
    let case = case(&solution(WRITES, None)).file("full", "").environment("XDG_CACHE_HOME", "full");
    case.ends(3, &["the sources of", "cannot be unpacked", "is the disk full?"]);
}

#[test]
fn errors_name_the_source() {
    let run = case(&solution(&RETURNS.replace("doubled", "broken"), Some(false)));
    run.refused(&["raised AttributeError while running", "ops/helper.py:5:"]).says(&["5 │ return x.missing"]);
    let raises = case(&solution("def scale(x)\n    return x\n", Some(false)));
    raises.refused(&["raised SyntaxError while being imported", "ops/main.py:1:"]);
    case(&solution("x = 1\n", None)).refused(&["has no function `scale`"]);
}

#[test]
fn what_cannot_be_taken_is_refused_by_name() {
    let refused = |pointer: &str, value: &str, words: &[&str]| {
        let mut solution = solution(WRITES, None);
        *solution.pointer_mut(pointer).unwrap() = value.into();
        case(&solution).ends(2, words);
    };
    refused("/definition", "add_x", &["it solves the definition `add_x`, and the problem is `scale_x`"]);
    refused("/spec/language", "cuda", &["its language is `cuda`"]);
    refused("/spec/entry_point", "main.py", &["its entry point is `main.py`"]);
    refused("/spec/entry_point", "other.py::scale", &["`other.py`, which is none of its sources"]);
    refused("/sources/2/path", "ops/helper.py", &["it has two sources"]);
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("owned.py");
    for path in ["../owned.py", "ops/../../owned.py", outside.to_str().unwrap()] {
        refused("/sources/2/path", path, &["leaves the solution's folder"]);
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    case(&json!({ "name": "x" })).ends(2, &["missing field `definition`"]);
}
