//! Killed, gone on with, run again, out of space: one verdict, and nothing finished is lost.

use super::support::*;
use std::{
    fs,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long something that must happen may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !happened() {
        assert!(begin.elapsed() < PATIENCE, "{what} did not happen");
        sleep(Duration::from_millis(2));
    }
}

fn log(case: &Case) -> String {
    fs::read_to_string(case.path("out/events.jsonl")).unwrap_or_default()
}

/// Starts `case` and kills it once `stage` has begun.
fn kill_at(case: &Case, stage: &str) {
    let mut child: Child = case.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = format!("\"event\":\"stage-began\",\"stage\":\"{stage}\"");
    wait_until(stage, || log(case).contains(&began) || child.try_wait().unwrap().is_some());
    let children = children_of(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the end of its children", || children.iter().all(|id| !is_alive(*id)));
}

/// Processes whose parent is `id`.
fn children_of(id: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|child| status(*child).is_some_and(|(_, parent)| parent == id)).collect()
}

/// State and parent of a process.
fn status(id: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// A zombie is gone: it waits for whoever inherited it.
fn is_alive(id: u32) -> bool {
    status(id).is_some_and(|(state, _)| state != 'Z')
}

#[test]
fn a_killed_evaluation_goes_on_to_one_verdict() {
    let case = Case::new(&kernel(DOUBLE)).with(&["--detail", "full"]);
    for stage in ["check", "measure", "probes"] {
        kill_at(&case, stage);
        let before = log(&case);
        let whole = before.rfind('\n').map_or("", |end| &before[..=end]);
        assert!(whole.contains("\"event\":\"began\""));
        if stage == "probes" {
            break;
        }
    }
    let before = log(&case);
    let run = case.accepted();
    let after = log(&case);
    let whole = before.rfind('\n').map_or("", |end| &before[..=end]);
    assert!(after.starts_with(whole), "what was there is kept");
    assert_eq!(after.matches("\"event\":\"judged\"").count(), 1);
    let stages = run.field("/stages");
    let names: Vec<&str> =
        stages.as_array().unwrap().iter().filter_map(|stage| stage["name"].as_str()).collect();
    assert_eq!(
        names,
        ["load", "build", "check", "measure", "peaks", "counters", "observe", "system", "probes"]
    );
    let notes = run.notes();
    let mut lines: Vec<&str> = notes.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), notes.lines().count(), "{notes}");
    let attempts = stages[2]["attempts"].as_array().unwrap();
    assert_eq!(attempts.first().unwrap()["number"], 1);
    for attempt in &attempts[..attempts.len() - 1] {
        assert_eq!(attempt["detail"], "kinstr was ended before it was over");
    }
}

#[test]
fn a_finished_evaluation_is_not_repeated() {
    let good = Case::new(&kernel(DOUBLE));
    let first = good.accepted();
    let events = log(&good);
    let second = good.eval();
    assert_eq!(second.report, first.report);
    second.says(&["holds this evaluation already: nothing was run"]);
    assert_eq!(log(&good), events);

    let bad = Case::new(&format!("func.func private @abort()\n{}", kernel("func.call @abort() : () -> ()")));
    let first = bad.refused(&["the candidate aborts", "candidate::aborted"]);
    let events = log(&bad);
    let second = bad.refused(&["the candidate aborts", "candidate::aborted"]);
    assert_eq!(second.report, first.report);
    assert!(second.stderr.starts_with(&first.stderr), "{}", second.stderr);
    assert_eq!(log(&bad), events);
}

#[test]
fn another_candidate_in_the_same_directory_starts_over() {
    let case = Case::new(&kernel(""));
    assert_eq!(case.eval().code, Some(1));
    case.file("candidate.mlir", &kernel(DOUBLE)).accepted();
}

#[test]
fn a_full_disk_is_an_infrastructure_failure_that_can_be_gone_on_from() {
    let case = Case::new(&kernel(DOUBLE));
    // A file system of one page; else, files of at most one block.
    let small = on_small_disk(&case, "out", "4k");
    let can_mount = small.is_some();
    let run = small
        .unwrap_or_else(|| case.wrapped("bash", &["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""]));
    assert_eq!(run.code, Some(3), "{}\n{}", run.stderr, run.stdout);
    if can_mount {
        run.says(&[
            "cannot",
            "out",
            "is the disk full?",
            "--out DIR and XDG_CACHE_HOME choose another place",
        ]);
    } else {
        // The limit on files meets shared memory first.
        run.says(&["cannot"]);
    }
    assert_eq!((run.stdout.as_str(), run.report), ("", None));
    case.accepted();
}

/// The Python host among the children of `id`.
fn host_of(id: u32) -> Option<u32> {
    let is_host = |child: &u32| {
        fs::read_to_string(format!("/proc/{child}/cmdline")).is_ok_and(|line| line.contains("kinstr.host"))
    };
    children_of(id).into_iter().find(is_host)
}

#[test]
fn a_reference_that_is_killed_is_started_again() {
    let case = Case::new(&kernel(DOUBLE)).with(&["--budget", "3", "--precision", "0.000001"]);
    let child = case.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("measure", || log(&case).contains("\"event\":\"stage-began\",\"stage\":\"measure\""));
    let host = host_of(child.id()).unwrap();
    assert!(Command::new("kill").args(["-9", &host.to_string()]).status().unwrap().success());
    let run = case.finish(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.field("/verdict")), (Some(0), "correct".into()), "{}", run.stderr);
    let stages = run.field("/stages");
    let measure = stages.as_array().unwrap().iter().find(|stage| stage["name"] == "measure").unwrap();
    let faults: Vec<_> = measure["attempts"].as_array().unwrap().iter().map(|a| &a["fault"]).collect();
    assert_eq!(faults, ["infrastructure".into(), serde_json::Value::Null].iter().collect::<Vec<_>>());
    assert!(run.notes().contains("the reference runs on"), "{}", run.notes());
}

/// Runs `case` with its folder `name` on a file system of `size`, in a name space of its own; `None` where none can be
/// mounted.
fn on_small_disk(case: &Case, name: &str, size: &str) -> Option<Run> {
    let space = ["--user", "--map-root-user", "--mount"];
    let can_mount = Command::new("unshare").args(space).arg("true").output();
    can_mount.ok().filter(|output| output.status.success())?;
    let mounted =
        format!("mkdir -p {name} && mount -t tmpfs -o size={size} none {name} && exec \"$0\" \"$@\"");
    Some(case.wrapped("unshare", &[&space[..], &["bash", "-c", &mounted]].concat()))
}

#[test]
fn a_full_cache_is_no_fault_of_the_candidate_s_or_of_kinstr_s() {
    let text = format!(
        "// {}\n// kinstr: entry=twice\nvoid twice(const float *x, float *y, long n) {{
  for (long i = 0; i < n; i++) y[i] = 2 * x[i];\n}}\n",
        "room ".repeat(4096)
    );
    // From no room for a file to nearly enough for all.
    for size in ["4k", "32k", "64k", "96k", "192k"] {
        let case = Case::of("candidate.c", &text).environment("XDG_CACHE_HOME", "cache");
        let Some(run) = on_small_disk(&case, "cache", size) else { return };
        assert_eq!(run.code, Some(3), "{size}: {}\n{}", run.stderr, run.stdout);
        run.says(&["is the disk full?"]);
    }
}

#[test]
fn a_compiler_without_room_is_no_fault_of_the_candidate_s() {
    let text = format!(
        "// {}\n// kinstr: entry=twice\nvoid twice(const float *x, float *y, long n) {{
  for (long i = 0; i < n; i++) y[i] = 2 * x[i];\n}}\n",
        "room ".repeat(1024)
    );
    for size in ["4k", "8k", "12k", "16k", "20k"] {
        let case = Case::of("candidate.c", &text).environment("TMPDIR", "temporary");
        let Some(run) = on_small_disk(&case, "temporary", size) else { return };
        assert_eq!(run.code, Some(3), "{size}: {}\n{}", run.stderr, run.stdout);
        run.says(&["is the disk full?"]);
    }
}
