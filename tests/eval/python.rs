//! Candidates in Python, for problems in KernelBench form. What else a host refuses, `python/tests` tells.

use super::support::*;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

const PROBLEM: &str = "import torch
import torch.nn as nn

class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x))

def get_inputs():
    return [torch.randn(16, 64)]

def get_init_inputs():
    return [64]
";

const HEAD: &str = "import torch
import torch.nn as nn

class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.kept = None

    def forward(self, x):
";

/// A candidate with `body` as its `forward`.
fn forward(body: &str) -> Case {
    let text = format!("{HEAD}{body}\n");
    Case::of("candidate.py", &text).file("layer.py", PROBLEM).problem_file("layer.py")
}

const RIGHT: &str = "        return self.linear(x).relu_()";

#[test]
fn every_kernelbench_example_is_evaluated() {
    let problems = problems();
    assert_eq!(problems.len(), 20, "{problems:?}");
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(problem) = problems.get(next.fetch_add(1, Ordering::Relaxed)) {
            evaluate(problem);
        }
    };
    std::thread::scope(|scope| [(); 2].map(|()| scope.spawn(work)).map(|thread| thread.join().unwrap()));
}

/// The problems among the examples: files that have a candidate beside them.
fn problems() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kernelbench");
    let levels = ["level1", "level2", "level3"].map(|level| fs::read_dir(root.join(level)).unwrap());
    let files = levels.into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|file| candidate_of(file).is_file()).collect()
}

fn candidate_of(problem: &Path) -> PathBuf {
    let name = problem.file_stem().unwrap().to_string_lossy();
    problem.with_file_name(format!("{name}-new.py"))
}

fn evaluate(problem: &Path) {
    let text = fs::read_to_string(candidate_of(problem)).unwrap();
    let run = Case::of("candidate.py", &text).problem_file(problem).accepted();
    let name = problem.display();
    assert!(
        run.field("/workloads/0/times/candidate/median_ns").as_f64().is_some_and(|ns| ns > 0.0),
        "{name}"
    );
    assert!(run.field("/speedup").as_f64().is_some_and(|speedup| speedup > 0.0), "{name}");
    let layers = run.field("/layers");
    let status =
        |name: &str| layers.as_array().unwrap().iter().find(|layer| layer["name"] == name).unwrap().clone();
    for layer in ["correctness", "performance", "system"] {
        assert_eq!(status(layer)["status"], "ran", "{name}");
    }
    for layer in ["kernel-counters", "intra-kernel"] {
        let layer = status(layer);
        assert_eq!(layer["status"], "unavailable", "{name}");
        assert!(
            layer["because"].as_str().unwrap().contains("a candidate in Python is run as it is"),
            "{name}"
        );
    }
}

#[test]
fn what_it_does_to_its_own_process_harms_nobody() {
    let mischief = "
import kinstr
print('x' * 3_000_000)
torch.equal = torch.allclose = lambda *_, **__: True
torch.manual_seed = lambda seed: None
def get_inputs():
    return [torch.zeros(16, 64)]
def get_init_inputs():
    return [1]
";
    let run = forward(&format!("{RIGHT}\n{mischief}")).accepted();
    assert!(
        run.notes().contains("the candidate prints on standard output, beginning with: xxx"),
        "{}",
        run.notes()
    );
    assert!(run.notes().contains("the candidate runs on python "), "{}", run.notes());
    assert!(
        run.notes().contains("the candidate defines `get_inputs`, `get_init_inputs` as the problem"),
        "{}",
        run.notes()
    );
    assert!(run.notes().contains("the candidate replaces `torch."), "{}", run.notes());
    let wrong = forward(&format!("        return self.linear(x)\n{mischief}")).eval();
    assert_eq!((wrong.code, wrong.field("/fault")), (Some(1), serde_json::Value::Null), "{}", wrong.stderr);
}

const KERNEL: &str = "
import triton
import triton.language as tl

@triton.jit
def activate(y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.maximum(tl.load(y + at, mask=at < n), 0.0), mask=at < n)
";

#[test]
fn triton_kernels_are_interpreted_on_the_cpu() {
    let launches =
        "        y = self.linear(x)\n        activate[(4,)](y, y.numel(), BLOCK=256)\n        return y";
    let run = forward(&format!("{launches}\n{KERNEL}")).accepted();
    assert!(run.notes().contains("Triton kernels run in Triton's interpreter"), "{}", run.notes());
    let layers = run.field("/layers");
    let performance = layers.as_array().unwrap().iter().find(|layer| layer["name"] == "performance").unwrap();
    assert_eq!(performance["status"], "unavailable");
    assert!(run.field("/workloads/0/times").is_null());
    let falls_back = "        y = self.linear(x)
        try:
            activate[(4,)](y, y.numel(), 256, 7)
        except Exception:
            y.relu_()
        return y";
    forward(&format!("{falls_back}\n{KERNEL}")).refused(&["launches none of its Triton kernels: `activate`"]);
}

#[test]
fn kernels_that_are_autotuned_or_launched_many_times_are_checked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let problem = root.join("examples/kernelbench/level1/softmax.py");
    for name in ["autotuned", "launched-in-a-loop"] {
        let text = fs::read_to_string(root.join(format!("tests/gpu/python/{name}.py"))).unwrap();
        Case::of("candidate.py", &text).problem_file(&problem).with(&["--seeds", "1"]).accepted();
    }
}

#[test]
fn what_torch_compile_makes_of_the_reference_is_timed() {
    let run = forward(RIGHT).with(&["--baseline", "compile"]).accepted();
    for field in ["/workloads/0/times/compiled/median_ns", "/speedup_over_compiled"] {
        assert!(run.field(field).as_f64().is_some_and(|value| value > 0.0), "{field}: {}", run.notes());
    }
}

#[test]
fn tensors_reach_the_model_s_constructor() {
    let problem = PROBLEM.replace("return [64]", "return [torch.tensor(64)]");
    forward(RIGHT).file("layer.py", &problem).accepted();
}

#[test]
fn what_is_raised_is_shown_where() {
    let run = forward("        y = self.linear(x)\n        return y.relu_() + self.missing");
    let run = run.refused(&["raised AttributeError while running forward", "candidate.py:12:"]);
    run.says(&["no attribute 'missing'", "12 │ return y.relu_() + self.missing"]);
    forward("        return self.linear(x).relu_().T").refused(&["returned shape [64, 16] for `output`"]);
}

#[test]
fn who_does_not_come_back_is_told_apart() {
    forward("        while True: pass").with(&["--timeout", "1"]).refused(&["does not return within 1.0 s"]);
    forward("        import os; os._exit(3)").refused(&["calls exit(3) instead of returning"]);
    let hoard = "        hoard = []\n        while True: hoard.append(bytearray(1 << 24))";
    forward(hoard)
        .with(&["--memory", "128"])
        .refused(&["raised MemoryError", "ran out of the memory that --memory"]);
}

#[test]
fn what_it_must_not_reach_it_does_not() {
    let reaching = "        import os, socket
        for reach in [os.fork, lambda: os.execv('/bin/true', ['true']), socket.socket, lambda: open('/tmp/kinstr-owned', 'w')]:
            try:
                reach()
            except PermissionError:
                continue
            raise ValueError(f'{reach} was allowed')
";
    forward(&format!("{reaching}{RIGHT}")).accepted();
    forward("        y = self.linear(x).relu_()\n        x.zero_()\n        return y")
        .refused(&["writes to its input `x`"]);
    let case = forward("");
    let problem = case.path("layer.py").display().to_string();
    let falls_back = format!(
        "        try:
            return x.no_such_op()
        except AttributeError:
            names = {{}}
            exec(open({problem:?}).read(), names)
            model = names['Model'](64)
            model.load_state_dict(self.state_dict())
            return model(x)"
    );
    let case = case.file("candidate.py", &format!("{HEAD}{falls_back}\n"));
    case.refused(&["opens the problem's file", "candidate.py:15:"]);
}

#[test]
fn results_that_are_kept_are_found_out() {
    let keeps = "        if self.kept is None: self.kept = self.linear(x).relu_()\n        return self.kept";
    let run = forward(keeps).eval();
    assert_eq!((run.code, run.field("/verdict")), (Some(1), "incorrect".into()), "{}", run.stderr);
    let detail = run.field("/verdict_detail");
    assert!(detail.as_str().unwrap().contains("the model keeps results from call to call"), "{detail}");
}

/// A candidate in Python for a problem in TOML, whose reference is NumPy's, on two workloads.
fn function(body: &str) -> Case {
    let text = format!("def run(x):\n{body}\n");
    Case::of("candidate.py", &text)
        .problem("[[workloads]]", "[[workloads]]\naxes = { N = 64 }\n[[workloads]]")
}

#[test]
fn a_function_answers_problems_that_are_no_models() {
    let run = function("    return x * 2").accepted();
    for field in ["/workloads/0/times/candidate/median_ns", "/workloads/1/times/reference/median_ns"] {
        assert!(run.field(field).as_f64().is_some_and(|ns| ns > 0.0), "{field}");
    }
    let wrong = function("    return x * 3").eval();
    assert_eq!((wrong.code, wrong.field("/verdict")), (Some(1), "incorrect".into()), "{}", wrong.stderr);
    function("    return x[:3] * 2").refused(&["returned shape [3] for `y`", "candidate.py:1:"]);
    Case::of("candidate.py", "x = 1\n").refused(&["has no function `run`"]);
}

#[test]
fn where_python_is_not_taken_says_so() {
    let text = format!("{HEAD}{RIGHT}\n");
    let directive = format!("# kinstr: threads=2\n{text}");
    Case::of("candidate.py", &directive).ends(2, &["threads", "Python"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("candidate.py");
    fs::write(&path, text).unwrap();
    let output = kinstr().arg("opt").arg(&path).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is Python, which kinstr runs"), "{said}");
}
