//! How `kinstr opt`, `trace` and `show` end, and what they refuse.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    process::{Command, Output},
};
use tempfile::TempDir;

const C: &str =
    "void f(const float *x, float *y, long n) { for (long i = 0; i < n; i++) y[i] = x[i] + x[i]; }\n";

const MLIR: &str = "func.func @f(%x: memref<?xf32>) {\n  return\n}\n";

/// Runs `kinstr opt` on a file `name` with `text`.
fn opt(name: &str, text: &str, arguments: &[&str]) -> (Option<i32>, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinstr"));
    command.arg("opt").args(arguments).args(["--", name]).current_dir(folder.path());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code(), said, folder)
}

#[track_caller]
fn ends(name: &str, text: &str, arguments: &[&str], code: i32, words: &str) {
    let (ended, said, _folder) = opt(name, text, arguments);
    assert_eq!(ended, Some(code), "{said}");
    let flat = said.split(|c: char| c == '│' || c.is_whitespace()).filter(|word| !word.is_empty());
    let flat = flat.collect::<Vec<_>>().join(" ");
    assert!(flat.contains(words), "`{words}` is not in:\n{said}");
}

#[test]
fn the_exit_code_says_whose_fault_it_is() {
    ends("k.c", C, &["--emit", "asm"], 0, "f:");
    ends("k.c", "void f(void) { x = 1; }\n", &[], 1, "use of undeclared identifier 'x'");
    ends("k.mlir", "func.func", &[], 1, "k.mlir is not valid MLIR");
    ends("k.ll", "define", &[], 1, "k.ll is not valid LLVM IR");
    ends("k.mlir", MLIR, &["--emit", "ptx", "--chip", "bogus"], 2, "its chips are named like `sm_90`");
    ends("k.mlir", MLIR, &["--target", "cuda:sm_9z"], 2, "its chips are named like `sm_90`");
    ends("k.txt", "", &[], 2, "no candidate this version can read");
    let to_full = ["--probes", "block-count", "--sites", "/dev/full"];
    ends("k.c", C, &to_full, 3, "cannot write /dev/full");
}

#[test]
fn options_without_an_effect_are_refused() {
    for emit in ["llvm-ir", "asm", "llvm-dialect"] {
        ends("k.c", C, &["--emit", emit, "--strip"], 2, "--strip has no effect here");
    }
    ends("k.mlir", MLIR, &["--emit", "structured", "--strip"], 2, "--strip has no effect here");
    ends("k.c", C, &["--emit", "llvm-ir", "--pipeline", "cse"], 2, "--pipeline has no effect here");
    ends("k.c", C, &["--sites", "s.json"], 2, "--sites has no effect here");
    ends("k.c", C, &["--emit", "asm", "--chip", "sm_90"], 2, "--chip has no effect here");
}

#[test]
fn one_build_times_or_counts_in_every_language() {
    let both = ["--emit", "llvm-ir", "--probes", "loop-time,block-count"];
    for (name, text) in [("k.c", C), ("k.mlir", MLIR)] {
        ends(name, text, &both, 2, "go into separate builds");
    }
}

#[test]
fn deeply_nested_code_does_not_overflow_the_stack() {
    // LLVM's own tools overflow 8 MiB at a depth of 5,000. What is printed grows with its square.
    let depth = 8_000;
    let text = format!(
        "func.func @f(%c: i1) {{\n{}{}  return\n}}\n",
        "scf.if %c {\n".repeat(depth),
        "}\n".repeat(depth)
    );
    let (ended, said, _folder) = opt("k.mlir", &text, &[]);
    assert_eq!(ended, Some(0), "{}", said.chars().take(1000).collect::<String>());
}

#[test]
fn texts_may_hold_any_bytes() {
    let asm =
        "func.func @f() {\n  llvm.inline_asm has_side_effects \"nop # \\EE\", \"\" : () -> ()\n  return\n}\n";
    ends("k.mlir", asm, &["--emit", "llvm-ir", "--probes", "block-count"], 0, "nop #");
}

#[test]
fn a_location_shows_no_file_but_the_candidate() {
    for file in ["/etc/passwd", "/dev/zero"] {
        let text =
            format!("func.func @f() {{\n  \"no.such\"() : () -> () loc(\"{file}\":1:1)\n  return\n}}\n");
        let (ended, said, _folder) = opt("k.mlir", &text, &["--emit", "llvm-dialect"]);
        assert_eq!(ended, Some(1), "{said}");
        assert!(!said.contains("root:"), "{said}");
    }
}

#[test]
fn no_escape_of_a_candidate_s_reaches_the_terminal() {
    let (ended, said, _folder) = opt("k\u{1b}[2J.mlir", "func.func \u{1b}]0;t\u{7}\n", &[]);
    assert_eq!(ended, Some(1), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains('\u{7}'), "{said:?}");
}

#[test]
fn odd_names_are_names() {
    for name in ["a#b.c", "ü$x.c", "-x.c", "a b.c", "a:b'c.c"] {
        ends(name, C, &["--emit", "asm"], 0, "f:");
        ends(name, &C.replace("n)", "n"), &[], 1, "expected ')'");
        let (_, said, _folder) = opt(name, C, &["--emit", "llvm-dialect", "--locations"]);
        // MLIR has other letters for what is not ASCII.
        let shown = name.replace('ü', "\\C3\\BC");
        assert!(said.contains(&format!("loc(\"{shown}\"")), "{name}");
    }
}

/// Runs `kinstr` in a folder with a record file and an empty log.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.krec"), "records").unwrap();
    fs::write(folder.path().join("x.sites.json"), r#"{"mode":"trace","sites":[]}"#).unwrap();
    fs::write(folder.path().join("events.jsonl"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinstr"));
    let output = command.args(arguments).current_dir(folder.path()).output().unwrap();
    assert_eq!(fs::read(folder.path().join("x.krec")).unwrap(), b"records");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn trace_names_what_is_missing_and_keeps_what_it_reads() {
    let (code, said) = run(&["trace", "nowhere.krec"]);
    assert!(code == Some(2) && said.contains("cannot read nowhere.krec"), "{said}");
    let (code, said) = run(&["trace", "x.krec", "-o", "./x.krec"]);
    assert!(code == Some(2) && said.contains("would overwrite what is read"), "{said}");
}

#[test]
fn a_log_without_an_event_shows_nothing() {
    let (code, said) = run(&["show", "."]);
    assert!(code == Some(2) && said.contains("no evaluation has begun in ."), "{said}");
}
