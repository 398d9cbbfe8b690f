//! Candidates that are no kernels for the problem, and what cannot be read at all.

use super::support::*;

#[test]
fn malformed_mlir_shows_the_place() {
    let run = Case::new("func.func @double(%x: memref<?xf32>) {\n  %0 = arith.addf %x\n}\n").refused(&[
        "candidate.mlir is not valid MLIR",
        "candidate.mlir:2:21",
        "expected ','",
        "kinstr opt FILE",
    ]);
    let detail = run.field("/verdict_detail");
    assert!(detail.as_str().unwrap().contains("candidate.mlir:2:21: expected"), "{detail}");
    let stage = run.field("/stages/0");
    assert_eq!(stage["attempts"].as_array().unwrap().len(), 1, "a candidate's fault is not tried again");
    Case::new("").refused(&["no public func.func"]);
}

#[test]
fn an_unknown_dialect_is_named() {
    Case::new("func.func @double(%x: memref<?xf32>) {\n  \"cooking.boil\"(%x) : (memref<?xf32>) -> ()\n  return\n}\n")
        .refused(&["candidate.mlir is not valid MLIR", "cooking", "dialects of upstream MLIR 22"]);
}

#[test]
fn a_signature_that_does_not_fit_is_shown_beside_the_problem_s() {
    let with = |types: &str| Case::new(&format!("func.func @double({types}) {{\n  return\n}}\n"));
    let problem = "problem: (x: f32[N]) -> (y: f32[N])";
    with("%x: memref<?xf32>").refused(&[
        "the entry does not fit the problem",
        "1 inputs and 1 outputs are wanted, 1 arguments and 0 results are there",
        problem,
        "candidate: func.func @double(memref<?xf32>)",
    ]);
    with("%x: memref<?xf64>, %y: memref<?xf32>")
        .refused(&["argument 0, `x`, has elements of type f64, not f32", problem]);
    with("%x: memref<?x?xf32>, %y: memref<?xf32>").refused(&["argument 0, `x`, has rank 2, not 1"]);
    with("%x: memref<?xf32>, %y: memref<7xf32>")
        .refused(&["argument 1, `y`, has size 7 in dimension 0, not 1000"]);
    with("%x: memref<?xf32>, %y: tensor<?xf32>")
        .refused(&["argument 1, `y`, is an output and must be a memref"]);
}

#[test]
fn several_functions_need_a_directive() {
    let two = format!("func.func @other() {{ return }}\n{}", kernel(DOUBLE));
    Case::new(&two).refused(&["several public functions (@other, @double)", "// kinstr: entry=NAME"]);
    Case::new(&format!("// kinstr: entry=double\n{two}")).accepted();
    Case::new(&format!("// kinstr: entry=tripel\n{two}")).refused(&["no function `@tripel`"]);
    Case::new(&format!("// kinstr: entrance=double\n{two}"))
        .ends(2, &["candidate.mlir:1: unknown directive `entrance=double`", "known directives"]);
}

#[test]
fn missing_files_are_named() {
    let case = || Case::new(&kernel(DOUBLE));
    case().problem_file("nowhere.toml").ends(2, &["nowhere.toml", "No such file"]);
    case().with(&["--out", "problem.toml"]).ends(2, &["--out problem.toml is no directory"]);
    case().problem_file("candidate.mlir").ends(2, &["is not a problem kinstr can load"]);
    case().problem("reference.py", "nowhere.py").ends(2, &["the reference", "nowhere.py", "problem.toml:6:"]);
    let lost = case();
    std::fs::remove_file(lost.path("candidate.mlir")).unwrap();
    lost.ends(2, &["cannot read candidate.mlir", "No such file", "check the path"]);
}

#[test]
fn a_problem_says_where_it_is_wrong() {
    let case = || Case::new(&kernel(DOUBLE));
    case().file("problem.toml", "name = \n").ends(2, &["malformed TOML", "problem.toml:1:"]);
    case().problem("[[workloads]]\naxes = { N = 1000 }", "").ends(2, &["the problem has no workloads"]);
    case()
        .problem("N = 1000", "N = 1_000_000_000_000")
        .ends(3, &["workload N=1000000000000 the tensors need", "smaller axes"]);
    case().problem("\"f32\"", "\"f33\"").ends(2, &["unknown dtype `f33`", "problem.toml:4:", "`f32`"]);
}

#[test]
fn a_reference_that_fails_is_shown_on_its_line() {
    let with = |body: &str| {
        Case::new(&kernel(DOUBLE))
            .file("reference.py", &format!("import numpy as np\ndef run(x):\n    {body}\n"))
    };
    with("raise ValueError('no such thing')")
        .ends(2, &["the reference raised ValueError", "no such thing", "reference.py:3:"]);
    with("return x[:2]").ends(
        2,
        &["returned shape [2] for `y`, the problem says [1000]", "reference.py:2:", "have to agree"],
    );
    with("return x.astype('float64')").ends(2, &["float64"]);
    with("import os; os._exit(7)").ends(2, &["exited with status 7"]);
}

#[test]
fn usage_errors_suggest_the_near_name() {
    Case::new(&kernel(DOUBLE)).with(&["--target", "cpuu"]).ends(2, &["there is no target `cpuu`", "`cpu`"]);
    Case::new(&kernel(DOUBLE)).with(&["--seeds", "0"]).ends(2, &["--seeds", "1..=100"]);
    Case::new(&kernel(DOUBLE)).with(&["--budged", "1"]).ends(2, &["--budget"]);
}

#[test]
fn a_pipeline_that_does_not_lower_or_parse_is_the_candidate_s_fault() {
    let with = |pipeline: &str| Case::new(&format!("// kinstr: pipeline={pipeline}\n{}", kernel(DOUBLE)));
    with("canonicalise").refused(&["canonicalise"]);
    with("canonicalize,cse").accepted();
}

/// Passes run in kinstr's compiling process: what they print or write there is not the candidate's to ask for.
#[test]
fn what_is_kinstr_s_own_is_refused() {
    let writing =
        "// kinstr: pipeline=snapshot-op-locations{filename=/tmp/owned}\n".to_owned() + &kernel(DOUBLE);
    Case::new(&writing).refused(&["pass `snapshot-op-locations` is not for candidates"]);
    let forged = kernel("  \"kprobe.flush\"() : () -> ()");
    Case::new(&forged).refused(&["op `kprobe.flush` is not for candidates", "candidate.mlir:"]);
    let named = "func.func private @__kinstr_entry()\n".to_owned() + &kernel(DOUBLE);
    Case::new(&named).refused(&["symbol `__kinstr_entry` is not for candidates"]);
}
