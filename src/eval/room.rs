//! Whether this machine has room for a problem's tensors: running out would take other processes along.

use super::EvalError;
use crate::problem::Problem;

/// Times every tensor is held at least: by the candidate and by the reference.
const COPIES: u64 = 2;

/// Refuses a problem with a workload whose tensors do not fit this machine's memory.
///
/// # Errors
/// [`EvalError::TooLarge`].
pub fn check(problem: &Problem) -> Result<(), EvalError> {
    match memory_bytes() {
        Some(available) => check_against(problem, available),
        // A system that does not tell finds out by running.
        None => Ok(()),
    }
}

fn check_against(problem: &Problem, available: u64) -> Result<(), EvalError> {
    for workload in &problem.workloads {
        let specs = problem.input_specs(workload).into_iter().chain(problem.output_specs(workload));
        let bytes = specs.fold(0_u64, |sum, spec| sum.saturating_add(spec.bytes() as u64));
        let needed = bytes.saturating_mul(COPIES);
        if needed > available {
            return Err(EvalError::TooLarge { workload: workload.name.clone(), needed, available });
        }
    }
    Ok(())
}

/// Bytes of memory: the machine's, or the limit of the group of processes we are in.
fn memory_bytes() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = total.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)?;
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = group.and_then(|text| text.trim().parse().ok());
    Some(limit.map_or(total, |limit: u64| limit.min(total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_workload_that_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("problem.toml");
        let text = "axes = { N = \"var\" }\ninputs.x = { shape = [\"N\"], dtype = \"f32\" }
outputs.y = { shape = [\"N\"], dtype = \"f64\" }\nreference = { file = \"reference.py\" }
workloads = [{ axes = { N = 10 } }, { axes = { N = 20 } }]\nname = \"p\"\n";
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("reference.py"), "").unwrap();
        let problem = Problem::load(&path).unwrap();
        assert!(check_against(&problem, 480).is_ok());
        match check_against(&problem, 479) {
            Err(EvalError::TooLarge { workload, needed: 480, available: 479 }) => {
                assert_eq!(workload, "N=20")
            }
            other => panic!("{other:?}"),
        }
        assert!(memory_bytes().is_some_and(|bytes| bytes > 0));
    }
}
