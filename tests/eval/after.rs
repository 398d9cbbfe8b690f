//! What comes after an evaluation: its timeline in other forms, and what changed since another one.

use super::support::*;
use serde_json::Value;
use std::{fs, process::Output};

/// Each element in a region of its own: two records an element, and two around them all.
const REGIONS: &str = r#"
  scf.for %i = %c0 to %n step %c1 {
    %end = arith.addi %i, %c1 : index
    scf.for %j = %i to %end step %c1 {
      %v = memref.load %x[%j] : memref<?xf32>
      %w = arith.addf %v, %v : f32
      memref.store %w, %y[%j] : memref<?xf32>
    } {kinstr.region = "one"}
  }"#;

fn run(case: &Case, arguments: &[&str]) -> Output {
    kinstr().args(arguments).current_dir(case.path("")).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Three launches of 20,000 regions and one around them: 120,006 records, of which 65,536 fit. Of the launch that is
/// cut in two, 25,534 are there.
fn timeline(keep: &str) -> (Case, Run, Value) {
    let case = Case::new(&kernel(REGIONS)).problem("N = 1000", "N = 20000").with(&["--timeline-keep", keep]);
    let run_of_eval = case.accepted();
    let totals = json(&run(&case, &["trace", "out/timeline.krec", "--format", "summary-json"]));
    assert_eq!(totals["losses"]["dropped_records"], 120_006 - 65_536);
    let one = totals["sites"].as_array().unwrap().iter().find(|site| site["name"] == "one").unwrap();
    assert_eq!(one["count"], 20_000 + 12_766);
    (case, run_of_eval, totals)
}

#[test]
fn a_full_timeline_keeps_its_first_records() {
    let (case, run_of_eval, totals) = timeline("first");
    assert_eq!(totals["losses"]["unclosed_regions"], 2);
    assert_eq!(totals["losses"]["unopened_regions"], 0);
    let note = "the timeline has the first 65536 records of a thread: 54470 records did not fit their buffer";
    assert!(run_of_eval.notes().contains(note), "{}", run_of_eval.notes());
    let written = run(&case, &["trace", "out/timeline.krec", "-o", "again.pftrace"]);
    assert!(written.status.success() && written.stdout.is_empty());
    assert!(
        String::from_utf8_lossy(&written.stderr).starts_with("note: not all of it is there: 54470 records")
    );
    assert_eq!(
        fs::read(case.path("again.pftrace")).unwrap(),
        fs::read(case.path("out/trace.pftrace")).unwrap()
    );
}

#[test]
fn a_full_timeline_keeps_its_last_records_on_request() {
    let (case, run_of_eval, totals) = timeline("last");
    assert_eq!(totals["losses"]["unclosed_regions"], 0);
    assert_eq!(totals["losses"]["unopened_regions"], 2);
    assert!(run_of_eval.notes().contains("the timeline has the last 65536 records of a thread"));
    let chrome = json(&run(&case, &["trace", "out/timeline.krec", "--format", "chrome"]));
    let events = chrome["traceEvents"].as_array().unwrap();
    // Regions, the one around the last launch, the unit; names of process and thread.
    assert_eq!(events.len(), 32_766 + 1 + 1 + 2);
    let losses = chrome["otherData"]["losses"].as_array().unwrap();
    assert!(losses.contains(&Value::from("2 region ends have no beginning")), "{losses:?}");
}

#[test]
fn record_files_that_cannot_be_read_are_wrong_usage() {
    let case = Case::new(&kernel(DOUBLE));
    case.accepted();
    let whole = fs::read(case.path("out/timing-0.krec")).unwrap();
    fs::write(case.path("out/cut.krec"), &whole[..whole.len() - 1]).unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let output = run(&case, arguments);
        let said = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(output.stdout.is_empty() && said.contains(words), "{said}");
    };
    refused(&["trace", "out/none.krec"], "cannot read");
    refused(&["trace", "out/cut.krec"], "cannot read out/cut.sites.json");
    let sites = ["--sites", "out/timing.sites.json", "--format", "chrome"];
    refused(&[&["trace", "out/cut.krec"], &sites[..]].concat(), "the record file is cut off");
    refused(&["trace", "out/timing-0.krec", "--sites", "problem.toml"], "is no site table");
    refused(
        &["trace", "out/timing-0.krec", "--sites", "out/counting.sites.json", "-o", "not-made.json"],
        "names the site table of the build",
    );
    assert!(!case.path("not-made.json").exists());
}

#[test]
fn a_diff_says_what_became_of_a_candidate() {
    let slow = DOUBLE.replace(
        "%w = arith.addf %v, %v : f32",
        "%z = math.tanh %v : f32 %w = arith.addf %v, %v : f32 memref.store %z, %y[%i] : memref<?xf32>",
    );
    let case = Case::new(&kernel(DOUBLE)).file("slow.mlir", &kernel(&slow));
    case.accepted();
    let problem = ["--problem", "problem.toml", "--budget", "0.05", "--out", "slow"];
    assert!(run(&case, &[&["eval", "slow.mlir"], &problem[..]].concat()).status.success());
    let diff = json(&run(&case, &["diff", "slow", "out", "--format", "json"]));
    assert_eq!(diff["before"]["candidate"], "slow.mlir");
    assert_eq!(diff["after"]["candidate"], "candidate.mlir");
    assert_eq!(diff["workloads"][0]["axes"]["N"], 1000);
    assert!(diff["workloads"][0]["time"]["times_as_fast"]["value"].as_f64().unwrap() > 0.0);
    // A report.json alone is as good, and nothing changes from one to itself.
    let same = json(&run(&case, &["diff", "out/report.json", "out/report.json", "--format", "json"]));
    assert_eq!(same["workloads"][0]["time"]["significance"], "not-apart");
    assert_eq!(same["layers"], Value::Array(vec![]));
    let people = run(&case, &["diff", "slow", "out"]);
    let people = String::from_utf8(people.stdout).unwrap();
    assert!(people.contains("slow.mlir → candidate.mlir") && people.contains("times as fast"), "{people}");
    let missing = run(&case, &["diff", "out", "nowhere"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere"));
}
