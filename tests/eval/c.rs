//! Candidates in C, C++ and LLVM IR.

use super::support::*;

/// A function of the problem's name with `body`, which has `x`, `y` and `n`.
fn c(body: &str) -> Case {
    Case::of("candidate.c", &function(body))
}

fn function(body: &str) -> String {
    format!(
        "#include <stdint.h>
#include <stdio.h>
#include <stdarg.h>
void twice(const float *restrict x, float *restrict y, int64_t n) {{
{body}
}}
"
    )
}

/// `double` is a word of C, so that the entry has another name.
fn named(text: &str) -> String {
    format!("// kinstr: entry=twice\n{text}")
}

const LOOP: &str = "  for (int64_t i = 0; i < n; i++) y[i] = x[i] + x[i];";

fn taken(body: &str) -> Run {
    Case::of("candidate.c", &named(&function(body))).accepted()
}

const DEFINITION: &str = r#"{"name": "twice", "op_type": "elementwise", "axes": {"n": {"type": "var"}},
    "inputs": {"x": {"shape": ["n"], "dtype": "float32"}}, "outputs": {"y": {"shape": ["n"], "dtype": "float32"}},
    "reference": "import numpy\n\ndef run(x):\n    return x + x\n"}"#;
const WORKLOADS: &str = r#"{"axes": {"n": 4096}, "inputs": {"x": {"type": "random"}}, "uuid": "first"}
{"workload": {"axes": {"n": 100}, "inputs": {"x": {"type": "random"}}, "uuid": "second"}, "solution": null}"#;

/// A candidate for a FlashInfer-Bench definition, whose report is wanted as Traces.
fn for_definition(body: &str) -> Run {
    let case =
        c(body).file("twice.json", DEFINITION).file("twice.jsonl", WORKLOADS).problem_file("twice.json");
    case.with(&["--format", "flashinfer-trace"]).eval()
}

#[test]
fn a_flashinfer_definition_is_answered_with_traces() {
    let run = for_definition(LOOP);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let traces: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(traces.len(), 2, "{}", run.stdout);
    for (trace, uuid) in traces.iter().zip(["first", "second"]) {
        assert_eq!((&trace["definition"], &trace["solution"]), (&"twice".into(), &"candidate".into()));
        assert_eq!(
            (&trace["workload"]["uuid"], &trace["evaluation"]["status"]),
            (&uuid.into(), &"PASSED".into())
        );
        assert!(trace["evaluation"]["performance"]["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    }
    let wrong = for_definition("  for (int64_t i = 0; i < n; i++) y[i] = x[i];");
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stdout.contains("INCORRECT_NUMERICAL"), "{}", wrong.stdout);
    c(LOOP).with(&["--format", "flashinfer-trace"]).ends(2, &["is for FlashInfer-Bench definitions"]);
}

#[test]
fn a_c_candidate_counts_what_its_twin_in_mlir_counts() {
    let (in_c, in_mlir) = (taken(LOOP), Case::new(&kernel(DOUBLE)).accepted());
    for field in ["flops", "bytes"] {
        let field = format!("/workloads/0/roofline/{field}");
        assert!(in_c.field(&field).as_f64().is_some_and(|value| value > 0.0), "{field}");
        assert_eq!(in_c.field(&field), in_mlir.field(&field), "{field}");
    }
    assert_eq!(in_c.field("/hot_lines/0/place/file"), "candidate.c");
}

#[test]
fn the_entry_is_called_like_the_problem() {
    let text = function(LOOP).replace("twice", "two_fold");
    Case::of("candidate.c", &text).problem("name = \"double\"", "name = \"two-fold\"").accepted();
    let words = ["no function `double` that other files would see; there is: twice", "kinstr: entry=NAME"];
    c(LOOP).refused(&words);
    Case::of("candidate.cpp", &function(LOOP).replace("restrict", "")).refused(&words);
}

#[test]
fn a_wrong_one_is_incorrect() {
    let run = Case::of("candidate.c", &named(&function(&LOOP.replace("x[i] + x[i]", "x[i]")))).eval();
    assert_eq!((run.code, run.field("/verdict")), (Some(1), "incorrect".into()), "{}", run.stderr);
    assert_eq!(run.field("/fault"), serde_json::Value::Null);
}

#[test]
fn crashes_are_told_apart() {
    let refused = |body: &str, words: &[&str]| {
        Case::of("candidate.c", &named(&function(body))).refused(words);
    };
    refused("  *(volatile float *)0 = x[0];", &["the candidate dereferences a null pointer"]);
    refused("  y[0] = (float)(n / (n - 1000));", &["the candidate divides an integer by zero"]);
    refused("  for (int64_t i = 0; i <= n; i++) y[i] = 2 * x[i];", &["past the end of `y`"]);
}

#[test]
fn what_does_not_compile_is_shown_where() {
    let run = Case::of("candidate.c", &named(&function("  y[0] = x[0]\n  z = 3;")));
    let run = run.refused(&["candidate.c does not compile", "expected ';' after expression", "y[0] = x[0]"]);
    run.says(&["candidate.c:6:14", "use of undeclared identifier 'z'"]);
    Case::of("candidate.c", &named("#include \"own.h\"\n")).refused(&["'own.h' file not found"]);
    let asm = "  __asm__ volatile(\"frobnicate %0\" : : \"r\"(n)); y[0] = x[0];";
    Case::of("candidate.c", &named(&function(asm))).refused(&["invalid instruction mnemonic 'frobnicate'"]);
}

#[test]
fn a_misfit_shows_both_signatures_in_c() {
    let text = function(LOOP).replace("float *restrict y", "double *restrict y");
    Case::of("candidate.c", &named(&text)).refused(&[
        "parameter 1, `y`, is double *restrict, not float *",
        "problem: void twice(const float *x, float *y, int64_t N)",
        "candidate: void twice(const float *restrict, double *restrict, int64_t)",
    ]);
    let fewer = "void twice(const float *x, float *y) { y[0] = x[0]; }";
    Case::of("candidate.c", &named(fewer))
        .refused(&["2 pointers and 1 sizes are wanted, 2 parameters are there"]);
}

#[test]
fn only_listed_flags_are_taken() {
    let with = |flags: &str| {
        Case::of("candidate.c", &named(&format!("// kinstr: flags={flags}\n{}", function(LOOP))))
    };
    with("-ffast-math -DTILE=8").accepted();
    with("-fplugin=evil.so").ends(2, &["the compiler flag `-fplugin=evil.so` is not allowed", "-ffast-math"]);
}

#[test]
fn odd_control_flow_is_taken() {
    taken(
        "  int64_t i = 0;
  if (n & 1) goto middle;
top:
  if (i >= n) return;
  y[i] = 2 * x[i]; i++; __asm__ volatile(\"\" ::: \"memory\");
middle:
  if (i >= n) return;
  y[i] = x[i] + x[i]; i++; __asm__ volatile(\"\" ::: \"memory\");
  goto top;",
    );
    taken(
        "  static const void *table[] = {&&even, &&odd, &&done};
  int64_t i = 0;
  goto *table[n == 0 ? 2 : 0];
even: y[i] = x[i] + x[i]; i++; goto *table[i == n ? 2 : (i & 1)];
odd: y[i] = 2 * x[i]; i++; goto *table[i == n ? 2 : (i & 1)];
done: return;",
    );
    taken(
        "  if (n == 0) return;
  y[n - 1] = 2 * x[n - 1];
  int64_t half = (n - 1) / 2;
  twice(x, y, half);
  twice(x + half, y + half, n - 1 - half);",
    );
}

#[test]
fn variadic_calls_and_inline_assembly_are_taken() {
    let sum = "__attribute__((noinline)) static double sum(int n, ...) {
  va_list list; va_start(list, n); double s = 0;
  for (int i = 0; i < n; i++) s += va_arg(list, double);
  va_end(list); return s;
}
void twice";
    let text = function("  for (int64_t i = 0; i < n; i++) y[i] = (float)sum(2, x[i], x[i]);");
    Case::of("candidate.c", &named(&text.replace("void twice", sum))).accepted();
    let run = taken(
        "  for (int64_t i = 0; i < n; i++) { float v = x[i]; __asm__(\"vaddss %0, %0, %0\" : \"+x\"(v)); y[i] = v; }",
    );
    let note = "(llvm.inline_asm) in `twice`";
    assert!(run.notes().contains(note), "{}", run.notes());
}

const THROWING: &str = "#include <cstdint>
#include <stdexcept>
__attribute__((noinline)) static float check(float v, int64_t i) {
  if (i % 100 == 99) throw std::runtime_error(\"every hundredth\");
  return v + v;
}
void twice(const float *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    try { y[i] = check(x[i], i); } catch (const std::exception &) { y[i] = 2 * x[i]; }
  }
}
";

#[test]
fn cpp_exceptions_are_caught_and_uncaught_ones_told() {
    let case = |text: &str| Case::of("candidate.cpp", &named(text));
    let run = case(THROWING).accepted();
    let layers = run.field("/layers");
    let counted = |layer: &&serde_json::Value| layer["name"] == "kernel-counters" && layer["status"] == "ran";
    assert!(layers.as_array().is_some_and(|layers| layers.iter().any(|layer| counted(&layer))), "{layers}");
    case(&THROWING.replace("catch (const std::exception &)", "catch (int)")).refused(&["every hundredth"]);
}

const LLVM: &str = "; kinstr: entry=twice
define void @twice(ptr noalias %x, ptr noalias %y, i64 %n) {
  br label %loop
loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  %from = getelementptr float, ptr %x, i64 %i
  %v = load float, ptr %from
  %w = fadd float %v, %v
  %to = getelementptr float, ptr %y, i64 %i
  store float %w, ptr %to
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}
";

#[test]
fn llvm_ir_is_taken_and_its_errors_placed() {
    let run = Case::of("candidate.ll", LLVM).accepted();
    assert_eq!(run.field("/workloads/0/roofline/flops"), 1000);
    let with = |from: &str, to: &str| Case::of("candidate.ll", &LLVM.replace(from, to));
    with("fadd float", "fadd flaot").refused(&[
        "candidate.ll is not valid LLVM IR",
        "candidate.ll:8:13",
        "expected type",
    ]);
    let other = LLVM.replacen('\n', "\ntarget triple = \"aarch64-unknown-linux-gnu\"\n", 1);
    Case::of("candidate.ll", &other).refused(&["candidate.ll is LLVM IR for aarch64-unknown-linux-gnu"]);
    with("i64 %n)", "i64 %n, i64 %m)")
        .refused(&["2 pointers and 1 sizes are wanted, 4 parameters are there"]);
}

#[test]
fn openmp_runs_on_the_threads_that_are_asked_for() {
    let text = function("#pragma omp parallel for\n  for (int64_t i = 0; i < n; i++) y[i] = 2 * x[i];");
    let run =
        Case::of("candidate.c", &named(&format!("// kinstr: flags=-fopenmp\n// kinstr: threads=2\n{text}")));
    let run = run.accepted();
    assert!(run.notes().contains("the candidate may run on 2 threads"), "{}", run.notes());
    assert_eq!(run.field("/system/threads"), 2);
}

#[test]
fn regions_marked_in_c_are_reported_by_name_and_line() {
    let marked = format!(
        "  KINSTR_REGION(\"all of it\")\n{LOOP}\n  KINSTR_REGION(\"left open\")\n  if (n < 1 << 20) return;\n  y[0] = 0;"
    );
    let text = format!("#include <kinstr.h>\n{}", function(&marked));
    let run = Case::of("candidate.c", &named(&text)).with(&["--overhead-budget", "none"]).accepted();
    assert_eq!(run.field("/regions/0/name"), "all of it");
    assert_eq!(run.field("/regions/0/place/line"), 7);
    assert_eq!(run.field("/regions/1"), serde_json::Value::Null);
    let note = "leaves out the region `left open`";
    assert!(run.notes().contains(note), "{}", run.notes());
}

#[test]
fn code_that_mlir_cannot_import_is_judged_without_probes() {
    let jump = format!("  asm goto(\"\" : : : : out);\n{LOOP}\nout:\n  ;");
    let run = taken(&jump);
    for layer in ["kernel-counters", "intra-kernel"] {
        let layers = run.field("/layers");
        let status = layers.as_array().into_iter().flatten().find(|status| status["name"] == layer).unwrap();
        assert_eq!(status["status"], "unavailable", "{status}");
        let reason = status["because"].as_str().unwrap_or_default();
        assert!(
            reason.contains("could not be imported: candidate.c:6: unhandled instruction: callbr"),
            "{reason}"
        );
    }
    assert!(run.notes().contains("memory accesses and branches were not observed"), "{}", run.notes());
}

#[test]
fn what_is_constructed_before_the_entry_runs_is() {
    let text = "#include <cstdint>
#include <cstdlib>
static float factor = (float)atof(\"2\");
extern \"C\" void twice(const float *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = x[i] * factor;
}
";
    Case::of("candidate.cpp", &named(text)).accepted();
    let endless =
        "__attribute__((constructor)) static void spin(void) { volatile int on = 1; while (on); }\n";
    Case::of("candidate.c", &named(&(endless.to_owned() + &function(LOOP))))
        .with(&["--timeout", "0.5"])
        .refused(&["the candidate does not return within 0.5 s"]);
}

#[test]
fn variables_of_a_thread_are_taken() {
    let text = function("  for (int64_t i = 0; i < n; i++) { last = x[i]; y[i] = last + last; }");
    Case::of("candidate.c", &named(&("_Thread_local float last;\n".to_owned() + &text))).accepted();
}

#[test]
fn what_is_kinstr_s_own_is_refused_in_c_and_llvm_ir() {
    let with = |text: &str| Case::of("candidate.c", &named(&format!("{text}\n{}", function(LOOP))));
    with("void __kinstr_entry(void) {}").refused(&["symbol `__kinstr_entry` is not for candidates"]);
    with("void *__kinstr_state;").refused(&["symbol `__kinstr_state` is not for candidates"]);
    with("void own(void) __asm__(\"__kinstr_get_unit\"); void own(void) {}")
        .refused(&["symbol `__kinstr_get_unit` is not for candidates"]);
    let ll = LLVM.to_owned() + "define void @__kinstr_get_unit() {\n  ret void\n}\n";
    Case::of("candidate.ll", &ll).refused(&["symbol `__kinstr_get_unit` is not for candidates"]);
}

#[test]
fn assembly_that_reads_files_is_refused() {
    let with = |text: &str, body: &str| {
        Case::of("candidate.c", &named(&format!("{text}\n{}", function(&format!("{body}\n{LOOP}")))))
    };
    let words = ["`.incbin` in assembly is not for candidates"];
    with("__asm__(\".section .rodata\\n.incbin \\\"/etc/passwd\\\"\\n.text\");", "").refused(&words);
    with("", "  __asm__ volatile(\".pushsection .rodata; .INC\" \"BIN \\\"/etc/passwd\\\"; .popsection\");")
        .refused(&words);
}
