//! What the assembly says of a function: the certificate compares it between builds.

/// Counts over all functions of one assembly file whose names do not begin with `__kinstr_` except the entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AssemblyFacts {
    /// Machine instructions.
    pub instructions: u64,
    /// Registers stored to the stack for lack of registers (LLVM's `Spill` comments).
    pub spills: u64,
    /// Bytes of stack frames.
    pub stack_bytes: u64,
}

/// Reads x86-64 AT&T assembly as LLVM writes it, comments included.
pub fn facts(assembly: &str) -> AssemblyFacts {
    let mut facts = AssemblyFacts::default();
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
            facts.stack_bytes += bytes;
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
        let text = "f:\n\t.cfi_startproc\n\tsubq\t$40, %rsp\n\tmovq\t%rax, 8(%rsp)           # 8-byte Spill\n\tretq\n.Lend:\n";
        assert_eq!(facts(text), AssemblyFacts { instructions: 3, spills: 1, stack_bytes: 40 });
    }
}
