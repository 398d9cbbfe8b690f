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

/// Records of a thread that a timeline has room for.
const ROOM: u64 = 65_536;

/// Three launches, each of 20,000 regions and the ones around them: one launch is there as a whole, one in part.
fn timeline(keep: &str) -> (Case, Run, Value) {
    let options = ["--overhead-budget", "none", "--timeline-keep", keep];
    let case = Case::new(&kernel(REGIONS)).problem("N = 1000", "N = 20000").with(&options);
    let run_of_eval = case.accepted();
    let totals = json(&run(&case, &["trace", "out/timeline.krec", "--format", "summary-json"]));
    let dropped = totals["losses"]["dropped_records"].as_u64().unwrap();
    let launch = (dropped + ROOM) / 3;
    assert_eq!(3 * launch, dropped + ROOM);
    let around = (launch - 40_000) / 2;
    assert!((1..=2).contains(&around), "{totals}");
    // The cut goes through the regions around; what is left of the launch are whole regions but for half a one.
    let cut = ROOM - launch - around;
    let one = totals["sites"].as_array().unwrap().iter().find(|site| site["name"] == "one").unwrap();
    assert_eq!(one["count"], 20_000 + cut / 2);
    let broken = if keep == "first" { "unclosed_regions" } else { "unopened_regions" };
    let whole = if keep == "first" { "unopened_regions" } else { "unclosed_regions" };
    assert_eq!(
        (&totals["losses"][broken], &totals["losses"][whole]),
        (&(around + cut % 2).into(), &0.into())
    );
    (case, run_of_eval, totals)
}

#[test]
fn a_full_timeline_keeps_its_first_records() {
    let (case, run_of_eval, totals) = timeline("first");
    let lost = format!("{} records did not fit their buffer", totals["losses"]["dropped_records"]);
    let note = format!("the timeline has the first 65536 records of a thread: {lost}");
    assert!(run_of_eval.notes().contains(&note), "{}", run_of_eval.notes());
    let written = run(&case, &["trace", "out/timeline.krec", "-o", "again.pftrace"]);
    assert!(written.status.success() && written.stdout.is_empty());
    let said = String::from_utf8_lossy(&written.stderr).into_owned();
    assert!(said.starts_with(&format!("note: not all of it is there: {lost}")), "{said}");
    assert_eq!(
        fs::read(case.path("again.pftrace")).unwrap(),
        fs::read(case.path("out/trace.pftrace")).unwrap()
    );
}

#[test]
fn a_full_timeline_keeps_its_last_records_on_request() {
    let (case, run_of_eval, totals) = timeline("last");
    assert!(run_of_eval.notes().contains("the timeline has the last 65536 records of a thread"));
    let chrome = json(&run(&case, &["trace", "out/timeline.krec", "--format", "chrome"]));
    let events = chrome["traceEvents"].as_array().unwrap();
    let counts = totals["sites"].as_array().unwrap().iter().map(|site| site["count"].as_u64().unwrap());
    // Every region, the unit, and the names of process and thread.
    assert_eq!(events.len() as u64, counts.sum::<u64>() + 3);
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
