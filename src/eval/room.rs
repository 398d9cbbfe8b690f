//! Whether this machine has room for a problem's tensors: running out would take other processes along.

use super::EvalError;
use crate::problem::Problem;

/// Times every tensor is held from the first stage to the last: by the candidate and by the reference.
const KEPT: u64 = 2;
/// And those of the workload in hand on top: as the reference's own copies, to compare with, and for the timing build.
const IN_HAND: u64 = 3;

/// Refuses a problem whose tensors, with those of the workloads before, do not fit this machine's memory.
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
    let mut kept: u64 = 0;
    for workload in &problem.workloads {
        let specs = problem.input_specs(workload).into_iter().chain(problem.output_specs(workload));
        let bytes = specs.fold(0_u64, |sum, spec| sum.saturating_add(spec.bytes() as u64));
        kept = kept.saturating_add(bytes.saturating_mul(KEPT));
        let needed = kept.saturating_add(bytes.saturating_mul(IN_HAND));
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
        // 120 and 240 bytes; both kept twice, and the larger one held three times more.
        assert!(check_against(&problem, 1440).is_ok());
        match check_against(&problem, 1439) {
            Err(EvalError::TooLarge { workload, needed: 1440, available: 1439 }) => {
                assert_eq!(workload, "N=20")
            }
            other => panic!("{other:?}"),
        }
        assert!(memory_bytes().is_some_and(|bytes| bytes > 0));
    }
}
