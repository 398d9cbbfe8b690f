//! Candidates that come back with a wrong answer, and problems that tell nothing.

use super::support::*;
use serde_json::json;

/// Stores `value`, an op that gives an `f32`, everywhere.
fn everywhere(value: &str) -> Case {
    Case::new(&kernel(&format!(
        "
  scf.for %i = %c0 to %n step %c1 {{
    %v = memref.load %x[%i] : memref<?xf32>
    %w = {value} : f32
    memref.store %w, %y[%i] : memref<?xf32>
  }}"
    )))
}

/// Runs `case`, and expects a wrong answer, described with these words.
#[track_caller]
fn incorrect(case: &Case, words: &[&str]) -> Run {
    let run = case.eval();
    assert_eq!(run.code, Some(1), "{}\n{}", run.stderr, run.stdout);
    assert_eq!(run.field("/verdict"), "incorrect");
    assert_eq!(run.field("/fault"), json!(null));
    let detail = run.field("/verdict_detail").as_str().unwrap().to_owned();
    for words in words {
        assert!(detail.contains(words), "`{words}` is not in: {detail}");
    }
    run
}

#[test]
fn a_wrong_answer_shows_where() {
    let run = incorrect(&everywhere("arith.mulf %v, %v"), &["of 1000 elements of output `y`", "tolerance"]);
    assert_eq!(run.stderr, "");
    assert!(run.stdout.contains("incorrect"), "{}", run.stdout);
    assert!(run.field("/workloads/0/times").is_null(), "a wrong answer has no time");
}

#[test]
fn nan_and_infinity_never_match() {
    let nan = "arith.constant 0x7FC00000";
    incorrect(&everywhere(nan), &["NaN at 1000 and in infinity at 0 elements"]);
    let infinity = "arith.constant 0x7F800000";
    incorrect(&everywhere(infinity), &["NaN at 0 and in infinity at 1000 elements"]);
}

#[test]
fn what_is_never_written_is_counted() {
    let case = Case::new(&kernel(
        "
  %c7 = arith.constant 7 : index
  scf.for %i = %c7 to %n step %c1 {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.addf %v, %v : f32
    memref.store %w, %y[%i] : memref<?xf32>
  }",
    ));
    incorrect(&case, &["7 of 1000 elements of output `y` were never written"]);
}

/// Right, but for a last bit that a counter decides.
const UNSTEADY: &str = "
  %count = memref.get_global @calls : memref<1xi32>
  %before = memref.load %count[%c0] : memref<1xi32>
  %next = arith.addi %before, %step : i32
  memref.store %next, %count[%c0] : memref<1xi32>
  %low = arith.andi %before, %step : i32
  %odd = arith.sitofp %low : i32 to f32
  %tiny = arith.constant 1.0e-6 : f32
  %error = arith.mulf %odd, %tiny : f32
  %two = arith.constant 2.0 : f32
  %factor = arith.addf %two, %error : f32
  scf.for %i = %c0 to %n step %c1 {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.mulf %v, %factor : f32
    memref.store %w, %y[%i] : memref<?xf32>
  }";

#[test]
fn what_changes_from_run_to_run_is_said() {
    let counter = "memref.global \"private\" @calls : memref<1xi32> = dense<0>\n".to_owned();
    let case = Case::new(&(counter + &kernel(&format!("  %step = arith.constant 1 : i32{UNSTEADY}"))));
    let run =
        case.problem("reference = {", "tolerance = { rtol = 1e-5, atol = 1e-5 }\nreference = {").accepted();
    assert!(run.notes().contains("not deterministic: output `y`"), "{}", run.notes());
    assert_eq!(run.field("/workloads/0/correctness/deterministic"), false);
}

#[test]
fn a_problem_that_zeros_solve_is_refused() {
    let case = Case::new(&kernel(DOUBLE))
        .file("reference.py", "import numpy as np\ndef run(x):\n    return np.zeros_like(x)\n");
    let run = case.eval();
    assert_eq!(run.code, Some(2), "{}\n{}", run.stderr, run.stdout);
    assert_eq!(run.field("/verdict"), "invalid");
    let detail = run.field("/verdict_detail").as_str().unwrap().to_owned();
    assert!(detail.contains("the problem tells nothing"), "{detail}");
}

/// Works on calls before the twelfth, which is when kernels are checked, and on every other one after.
const LAZY: &str = "
  %step = arith.constant 1 : i32
  %twelve = arith.constant 12 : i32
  %count = memref.get_global @calls : memref<1xi32>
  %before = memref.load %count[%c0] : memref<1xi32>
  %next = arith.addi %before, %step : i32
  memref.store %next, %count[%c0] : memref<1xi32>
  %early = arith.cmpi slt, %before, %twelve : i32
  %low = arith.andi %before, %step : i32
  %odd = arith.cmpi eq, %low, %step : i32
  %works = arith.ori %early, %odd : i1
  scf.if %works {
    scf.for %i = %c0 to %n step %c1 {
      %v = memref.load %x[%i] : memref<?xf32>
      %w = arith.addf %v, %v : f32
      memref.store %w, %y[%i] : memref<?xf32>
    }
  }";

#[test]
fn a_kernel_that_stops_working_once_it_was_checked_is_caught() {
    let counter = "memref.global \"private\" @calls : memref<1xi32> = dense<0>\n".to_owned();
    incorrect(&Case::new(&(counter + &kernel(LAZY))), &["call"]);
}

/// Does nothing if the last output is there already; else works for a while, a thousand divisions an element.
const SKIPS: &str = "
  %last = arith.subi %n, %c1 : index
  %thousand = arith.constant 1000 : index
  %xl = memref.load %x[%last] : memref<?xf32>
  %yl = memref.load %y[%last] : memref<?xf32>
  %want = arith.addf %xl, %xl : f32
  %missing = arith.cmpf une, %want, %yl : f32
  scf.if %missing {
    scf.for %i = %c0 to %n step %c1 {
      %v = memref.load %x[%i] : memref<?xf32>
      %same = scf.for %k = %c0 to %thousand step %c1 iter_args(%a = %v) -> (f32) {
        %b = memref.load %x[%c0] : memref<?xf32>
        %c = arith.addf %a, %b : f32
        %d = arith.divf %c, %c : f32
        %e = arith.mulf %d, %v : f32
        scf.yield %e : f32
      }
      %w = arith.addf %v, %v : f32
      %zero = arith.constant 0.0 : f32
      %none = arith.mulf %same, %zero : f32
      %sum = arith.addf %w, %none : f32
      memref.store %sum, %y[%i] : memref<?xf32>
    }
  }";

#[test]
fn a_kernel_that_skips_work_it_finds_done_is_caught() {
    // In few rounds most turns begin with outputs that were poisoned to be compared, and are as slow as they ought to be.
    let case = Case::new(&kernel(SKIPS)).with(&["--budget", "3"]);
    incorrect(&case, &["skips work that it finds done"]);
}

/// Keeps its outputs from call to call, and hands them out again while the first input is the same.
const REMEMBERS: &str = "
  %hundred = arith.constant 100 : index
  %key = memref.get_global @key : memref<1xf32>
  %kept = memref.get_global @kept : memref<1000xf32>
  %known = memref.load %key[%c0] : memref<1xf32>
  %first = memref.load %x[%c0] : memref<?xf32>
  %same = arith.cmpf oeq, %known, %first : f32
  scf.if %same {
    scf.for %i = %c0 to %n step %c1 {
      %v = memref.load %kept[%i] : memref<1000xf32>
      memref.store %v, %y[%i] : memref<?xf32>
    }
  } else {
    memref.store %first, %key[%c0] : memref<1xf32>
    scf.for %i = %c0 to %n step %c1 {
      %v = memref.load %x[%i] : memref<?xf32>
      %slow = scf.for %k = %c0 to %hundred step %c1 iter_args(%a = %v) -> (f32) {
        %b = arith.addf %a, %one : f32
        %c = arith.divf %v, %b : f32
        scf.yield %c : f32
      }
      %w = arith.addf %v, %v : f32
      %zero = arith.constant 0.0 : f32
      %none = arith.mulf %slow, %zero : f32
      %isnan = arith.cmpf uno, %none, %none : f32
      %safe = arith.select %isnan, %zero, %none : f32
      %sum = arith.addf %w, %safe : f32
      memref.store %sum, %y[%i] : memref<?xf32>
      memref.store %sum, %kept[%i] : memref<1000xf32>
    }
  }";

#[test]
fn a_kernel_that_keeps_its_results_is_caught() {
    let globals = "memref.global \"private\" @key : memref<1xf32> = dense<0.0>
memref.global \"private\" @kept : memref<1000xf32> = dense<0.0>\n"
        .to_owned();
    incorrect(&Case::new(&(globals + &kernel(REMEMBERS))), &["the kernel keeps results"]);
}

#[test]
fn threads_that_are_only_asked_for_buy_no_time() {
    let globals = "// kinstr: threads=256
memref.global \"private\" @key : memref<1xf32> = dense<0.0>
memref.global \"private\" @kept : memref<1000xf32> = dense<0.0>\n"
        .to_owned();
    incorrect(&Case::new(&(globals + &kernel(REMEMBERS))), &["the kernel keeps results"]);
}

/// Doubling in C, with `before` at the head of every call; `poisoned` knows what outputs are overwritten with.
fn in_c(before: &str) -> Case {
    let text = format!(
        "// kinstr: entry=twice
#include <stdint.h>
#include <string.h>
static int poisoned(const float *y) {{
  uint32_t bits;
  memcpy(&bits, y, 4);
  return bits == 0xFFFFFFFFu || bits == 0x5A5A5A5Au;
}}
static int64_t calls;
void twice(const float *x, float *y, int64_t n) {{
  {before}
  for (int64_t i = 0; i < n; i++) y[i] = 2 * x[i];
}}
"
    );
    Case::of("candidate.c", &text)
}

#[test]
fn a_kernel_that_works_only_where_it_sees_poison_is_caught() {
    let words = &["outputs for its own"];
    incorrect(&in_c("if (!poisoned(y)) return;"), words);
    incorrect(&in_c("if (!poisoned(y) && ++calls % 4) return;"), words);
}

#[test]
fn a_write_past_the_end_after_the_checks_is_found() {
    let case = in_c("if (++calls > 6) ((volatile float *)y)[n] = 1;");
    case.refused(&["the candidate writes right past the end of `y`"]);
}

#[test]
fn an_honest_kernel_passes_on_renewed_tensors() {
    let run = in_c("(void)poisoned; (void)calls;").problem("N = 1000", "N = 200000").accepted();
    // A busy machine may blur it to nothing, which is left out.
    let renewed = run.field("/workloads/0/times/renewed_ns");
    assert!(renewed.is_null() || renewed.as_f64().is_some_and(|ns| ns > 0.0), "{renewed}");
}

/// −1 is what poison looks like as an integer, and here it is the answer in every other place.
#[test]
fn an_unwritten_minus_one_is_no_answer() {
    let half = "func.func @double(%x: memref<?xi32>, %y: memref<?xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %n = memref.dim %x, %c0 : memref<?xi32>
  scf.for %i = %c0 to %n step %c2 {
    %v = memref.load %x[%i] : memref<?xi32>
    memref.store %v, %y[%i] : memref<?xi32>
  }
  return
}
";
    let bounds = "dtype = \"i32\", init = { kind = \"uniform\", low = -9, high = 9 } }\noutputs";
    let case = Case::new(half)
        .problem("\"f32\"", "\"i32\"")
        .problem("dtype = \"i32\" }\noutputs", bounds)
        .file("reference.py", "def run(x):\n    y = x.copy()\n    y[1::2] = -1\n    return y\n");
    incorrect(&case, &["500 of 1000 elements of output `y` were never written"]);
}

#[test]
fn half_precision_does_not_pass_for_single_on_a_long_axis() {
    let halves = everywhere("arith.addf %v, %h").file(
        "candidate.mlir",
        &kernel(
            "
  scf.for %i = %c0 to %n step %c1 {
    %v = memref.load %x[%i] : memref<?xf32>
    %s = arith.addf %v, %v : f32
    %h = arith.truncf %s : f32 to f16
    %w = arith.extf %h : f16 to f32
    memref.store %w, %y[%i] : memref<?xf32>
  }",
        ),
    );
    let long = halves.problem("axes = { N = 1000 }", "axes = { N = 1000000 }");
    incorrect(&long, &["outside the tolerance"]);
}

#[test]
fn a_build_that_leaves_other_outputs_is_noted() {
    // A last bit of the first call alone: the same on every repeat, and another in a process of one call.
    let case = in_c("y[0] = 0; float first = calls++ ? 2.0f : 2.000001f; (void)poisoned;");
    let text = std::fs::read_to_string(case.path("candidate.c")).unwrap();
    let case = case.file("candidate.c", &text.replace("y[i] = 2 * x[i]", "y[i] = first * x[i]"));
    let run =
        case.problem("reference = {", "tolerance = { rtol = 1e-5, atol = 1e-5 }\nreference = {").accepted();
    for build in ["counting", "observing"] {
        let note = format!("the {build} build leaves other outputs than the clean one");
        assert!(run.notes().contains(&note), "{}", run.notes());
    }
    let honest = in_c("(void)poisoned; (void)calls;").accepted();
    assert!(!honest.notes().contains("leaves other outputs"), "{}", honest.notes());
}
