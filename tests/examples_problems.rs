//! Every example's problem can be used: it loads, its reference runs, and wrong answers do not pass.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use kinstr::correctness::{Judge, WorkloadVerdict};
use kinstr::problem::{Problem, Workload};
use kinstr::reference::Reference;
use kinstr_trace::report::Verdict;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::path::{Path, PathBuf};

fn examples(file: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let folders = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        folders.map(|folder| folder.join(file)).filter(|path| path.is_file()).collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Bytes of a workload's tensors that take about a second.
const SMALL: usize = 12 << 20;

/// The verdicts on a small workload of a candidate that gives the reference's answers, and of one that gives the
/// same but for the last element.
fn verdicts(path: &Path) -> [WorkloadVerdict; 2] {
    let mut problem = Problem::load(path).unwrap();
    problem.workloads = vec![small_workload(&problem)];
    let workload = &problem.workloads[0];
    let mut reference = Reference::start(&problem, None).unwrap();
    let mut judges = [Judge::new(&problem, workload), Judge::new(&problem, workload)];
    for seed in problem.seeds(workload, 2) {
        reference.prepare(seed).unwrap();
        reference.evaluate().unwrap();
        let (inputs, expected) = (reference.inputs(), reference.expected());
        let mut wrong = expected[0].to_vec();
        double_last(&mut wrong);
        let wrong = [&[wrong.as_slice()], &expected[1..]].concat();
        judges[0].seed(seed, &inputs, &expected, &expected).unwrap();
        judges[1].seed(seed, &inputs, &expected, &wrong).unwrap();
    }
    judges.map(Judge::finish)
}

/// The smallest workload, its largest axis halved until the tensors are small enough for a build without optimisation.
fn small_workload(problem: &Problem) -> Workload {
    let smallest = problem.workloads.iter().min_by_key(|workload| bytes(problem, workload));
    let mut workload = smallest.unwrap().clone();
    while bytes(problem, &workload) > SMALL {
        // A KernelBench problem has no axes, and its sizes are its own.
        let Some((_, size)) = workload.axes.iter_mut().max_by_key(|(_, size)| *size) else { break };
        *size /= 2;
    }
    workload
}

fn bytes(problem: &Problem, workload: &Workload) -> usize {
    let specs = problem.input_specs(workload).into_iter().chain(problem.output_specs(workload));
    specs.map(|spec| spec.bytes()).sum()
}

/// Doubles the last element: in every example an f32, or a small i32, whose bits are those of a tiny f32 that doubles
/// as the integer does.
fn double_last(output: &mut [u8]) {
    let start = output.len() - 4;
    let last = f32::from_le_bytes(output[start..].try_into().unwrap());
    output[start..].copy_from_slice(&(last * 2.0).to_le_bytes());
}

#[test]
fn the_references_answers_are_correct_and_one_wrong_element_is_not() {
    let paths = [examples("problem.toml"), examples("kernelbench.py")].concat();
    paths.into_par_iter().for_each(|path| {
        let [right, wrong] = verdicts(&path);
        assert_eq!(right.verdict, Verdict::Correct, "{}: {right:?}", path.display());
        assert!(right.to_report().bitwise);
        assert_eq!(wrong.verdict, Verdict::Incorrect, "{}: {wrong:?}", path.display());
    });
}
