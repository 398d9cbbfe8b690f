//! What the assembly says of a function and of its loops: the certificate compares it between builds.

mod loops;

use kinstr_trace::synthesis::LoopChange;
pub use loops::{InnermostLoop, innermost};

/// Counts over all functions of one assembly file.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AssemblyFacts {
    /// Machine instructions.
    pub instructions: u64,
    /// Registers stored to the stack for lack of registers (LLVM's `Spill` comments).
    pub spills: u64,
    /// Bytes of the largest stack frame.
    pub stack_bytes: u64,
    /// Innermost loops, in order.
    pub loops: Vec<InnermostLoop>,
}

/// How the loops of one build differ from those of another, by source line; and how many lines have the same loops
/// in both. Loops without a line are on a line of their own.
pub fn compare_loops(clean: &AssemblyFacts, instrumented: &AssemblyFacts) -> (Vec<LoopChange>, u32) {
    let mut changes: Vec<LoopChange> = Vec::new();
    let all = clean.loops.iter().map(|found| (true, found));
    for (is_clean, found) in all.chain(instrumented.loops.iter().map(|found| (false, found))) {
        let known = changes.iter().position(|change| change.place == found.place);
        let index = known.unwrap_or_else(|| {
            changes.push(LoopChange { place: found.place.clone(), ..LoopChange::default() });
            changes.len() - 1
        });
        let side = if is_clean { &mut changes[index].clean } else { &mut changes[index].instrumented };
        side.push(found.code);
    }
    let lines = changes.len();
    changes.retain(|change| change.clean != change.instrumented);
    let same = u32::try_from(lines - changes.len()).unwrap_or(u32::MAX);
    (changes, same)
}

/// Reads x86-64 AT&T assembly as LLVM writes it, comments included.
pub fn facts(assembly: &str) -> AssemblyFacts {
    let mut facts = AssemblyFacts { loops: innermost(assembly), ..AssemblyFacts::default() };
    for line in assembly.lines() {
        let (code, comment) = line.split_once('#').unwrap_or((line, ""));
        let code = code.trim();
        if comment.contains("Spill") {
            facts.spills += 1;
        }
        if !line.starts_with('\t') || code.is_empty() || code.starts_with('.') {
            continue;
        }
        facts.instructions += 1;
        if let Some(bytes) = code.strip_prefix("subq").and_then(frame_bytes) {
            facts.stack_bytes = facts.stack_bytes.max(bytes);
        }
    }
    facts
}

/// `$N, %rsp` → N.
fn frame_bytes(operands: &str) -> Option<u64> {
    let (amount, register) = operands.split_once(',')?;
    if register.trim() != "%rsp" {
        return None;
    }
    amount.trim().strip_prefix('$')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_spills_and_frames_are_counted() {
        let text = "f:\n\t.cfi_startproc\n\tsubq\t$40, %rsp\n\tmovq\t%rax, 8(%rsp)           # 8-byte Spill\n\tretq\n.Lend:\n\
                    g:\n\tsubq\t$24, %rsp\n\tretq\n";
        assert_eq!(facts(text), AssemblyFacts { instructions: 5, spills: 1, stack_bytes: 40, loops: vec![] });
    }

    #[test]
    fn loops_are_matched_by_line() {
        let at = |line, instructions| {
            let place = kinstr_trace::sites::Place { file: "k.c".into(), line, column: 0 };
            let code = kinstr_trace::synthesis::LoopCode { instructions, ..Default::default() };
            InnermostLoop { place: Some(place), code }
        };
        let of = |loops| AssemblyFacts { loops, ..AssemblyFacts::default() };
        let (changes, same) =
            compare_loops(&of(vec![at(3, 5), at(3, 9), at(7, 4)]), &of(vec![at(3, 5), at(3, 11), at(7, 4)]));
        assert_eq!((changes.len(), same), (1, 1));
        let counts = |codes: &[kinstr_trace::synthesis::LoopCode]| {
            codes.iter().map(|code| code.instructions).collect::<Vec<_>>()
        };
        assert_eq!((counts(&changes[0].clean), counts(&changes[0].instrumented)), (vec![5, 9], vec![5, 11]));
    }
}
