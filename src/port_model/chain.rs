//! The longest chain of results from one iteration of a loop to the next.
//!
//! llvm-mca counts what such chains cost; the critical sequence that it prints may be another one, such as the loop
//! counter's, so the chain is found here, through registers, with llvm-mca's latencies as weights.

use std::collections::HashMap;

/// Instructions of the heaviest chain that begins and ends in one register, as indices into `body` in order; `latencies`
/// are those of its instructions. Chains through memory or through flags are not followed.
pub fn longest(body: &[String], latencies: &[f64]) -> Vec<usize> {
    let effects: Vec<Effects> = body.iter().map(|text| Effects::of(text)).collect();
    let mut carried: Vec<&String> = effects.iter().flat_map(|effects| &effects.written).collect();
    carried.sort();
    carried.dedup();
    let chains = carried.into_iter().filter_map(|register| chain_of(register, &effects, latencies));
    chains.max_by(|a, b| a.weight.total_cmp(&b.weight)).map_or_else(Vec::new, |chain| chain.instructions)
}

/// A way from a register's value before an iteration to some value in it.
#[derive(Debug, Clone, Default)]
struct Chain {
    weight: f64,
    instructions: Vec<usize>,
}

/// The heaviest way from `register` at the head of the body to `register` at its end.
fn chain_of(register: &str, effects: &[Effects], latencies: &[f64]) -> Option<Chain> {
    let mut ways: HashMap<&str, Chain> = HashMap::from([(register, Chain::default())]);
    for (index, effects) in effects.iter().enumerate() {
        let ways_in = effects.read.iter().filter_map(|read| ways.get(read.as_str()));
        let heaviest = ways_in.max_by(|a, b| a.weight.total_cmp(&b.weight)).cloned();
        for written in &effects.written {
            match &heaviest {
                Some(way) => {
                    let mut way = way.clone();
                    way.weight += latencies.get(index).copied().unwrap_or(1.0);
                    way.instructions.push(index);
                    ways.insert(written, way);
                }
                None => drop(ways.remove(written.as_str())),
            }
        }
    }
    ways.remove(register).filter(|way| !way.instructions.is_empty())
}

/// Registers that an instruction reads and writes, whatever part of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Effects {
    read: Vec<String>,
    written: Vec<String>,
}

impl Effects {
    /// Of AT&T syntax, where the last operand is the destination.
    fn of(text: &str) -> Self {
        let (mnemonic, operands) = text.trim().split_once(['\t', ' ']).unwrap_or((text.trim(), ""));
        let operands = operands_of(operands);
        let mut effects = Self::default();
        let Some((last, sources)) = operands.split_last() else { return effects };
        if is_zero_idiom(mnemonic, &operands) {
            effects.written = registers(last);
            return effects;
        }
        sources.iter().for_each(|operand| effects.read.extend(registers(operand)));
        let in_memory = last.contains('(') || !last.starts_with('%');
        if in_memory || writes_nothing(mnemonic) {
            effects.read.extend(registers(last));
            return effects;
        }
        let mut named = registers(last).into_iter();
        let destination = named.next();
        // What is in braces after it is a mask; without `{z}` the lanes that it leaves out keep their values.
        let merges = last.contains('{') && !last.contains("{z}");
        effects.read.extend(named);
        if merges || keeps_destination(mnemonic, sources.len()) {
            effects.read.extend(destination.clone());
        }
        effects.written.extend(destination);
        effects
    }
}

/// `vxorps %xmm5, %xmm5, %xmm5` waits for nothing.
fn is_zero_idiom(mnemonic: &str, operands: &[&str]) -> bool {
    let cancels = ["xor", "sub", "vxor", "vpxor", "vpsub"].iter().any(|prefix| mnemonic.starts_with(prefix));
    cancels && operands.windows(2).all(|pair| pair[0] == pair[1])
}

/// Splits at commas outside parentheses.
fn operands_of(text: &str) -> Vec<&str> {
    let (mut operands, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                operands.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        operands.push(last);
    }
    operands
}

/// Registers of an operand by the name of the whole register: `%ymm3` is `v3`, `%eax` is `ax`.
fn registers(operand: &str) -> Vec<String> {
    let names = operand.split('%').skip(1);
    names
        .map(|name| whole(name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()))
        .collect()
}

fn whole(name: &str) -> String {
    if let Some(number) = ["xmm", "ymm", "zmm"].iter().find_map(|kind| name.strip_prefix(kind)) {
        return format!("v{number}");
    }
    let digits = name.trim_start_matches('r').trim_end_matches(['d', 'w', 'b']);
    if !digits.is_empty() && digits.chars().all(|character| character.is_ascii_digit()) {
        return format!("r{digits}");
    }
    let name = name.strip_prefix(['r', 'e']).filter(|rest| rest.len() == 2).unwrap_or(name);
    match name.strip_suffix(['l', 'h']) {
        Some(letter) if letter.len() == 1 => format!("{letter}x"),
        Some(pair) if pair.len() == 2 => pair.to_owned(),
        _ => name.to_owned(),
    }
}

fn writes_nothing(mnemonic: &str) -> bool {
    let compares = [
        "cmp", "test", "vptest", "vtest", "kortest", "ktest", "vucomis", "vcomis", "ucomis", "comis",
        "prefetch",
    ];
    mnemonic.starts_with('j') || compares.iter().any(|compare| mnemonic.starts_with(compare))
}

/// Whether the destination is an operand too: fused multiply-adds, and arithmetic with one source.
fn keeps_destination(mnemonic: &str, sources: usize) -> bool {
    const OVERWRITES: [&str; 12] = [
        "mov",
        "lea",
        "vmov",
        "vbroadcast",
        "vcvt",
        "vsqrt",
        "vrcp",
        "vrsqrt",
        "vpmov",
        "vpbroadcast",
        "kmov",
        "vext",
    ];
    if mnemonic.starts_with("vfm") || mnemonic.starts_with("vfnm") || mnemonic.starts_with("vpdp") {
        return true;
    }
    let overwrites = OVERWRITES.iter().any(|prefix| mnemonic.starts_with(prefix));
    !overwrites
        && (sources == 0 || (sources == 1 && !mnemonic.starts_with('v') && !mnemonic.starts_with('k')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_accumulator_and_not_the_counter_is_the_longest_chain() {
        let body = body(&[
            "vaddps\t(%rdx,%rsi,4), %zmm0, %zmm0",
            "addq\t$16, %rsi",
            "cmpq\t%rcx, %rsi",
            "jl\t.LBB0_3",
        ]);
        assert_eq!(longest(&body, &[10.0, 1.0, 1.0, 1.0]), [0]);
    }

    #[test]
    fn a_chain_goes_through_several_registers() {
        let body = body(&[
            "vmulps\t%ymm1, %ymm0, %ymm2",
            "vfmadd231ss\t8(%rdi), %xmm2, %xmm3",
            "vmovaps\t%ymm3, %ymm0",
            "vmovups\t%ymm5, (%rax)",
        ]);
        assert_eq!(longest(&body, &[4.0, 4.0, 1.0, 1.0]), [0, 1, 2]);
    }

    #[test]
    fn what_is_loaded_anew_carries_nothing() {
        let body = body(&["vmovups\t(%rdi), %zmm0", "vaddps\t%zmm0, %zmm0, %zmm1", "vmovups\t%zmm1, (%rsi)"]);
        assert_eq!(longest(&body, &[8.0, 3.0, 1.0]), [0_usize; 0]);
    }

    #[test]
    fn parts_of_a_register_are_the_register() {
        assert_eq!(["rax", "eax", "ax", "al"].map(whole), ["ax"; 4].map(str::to_owned));
        assert_eq!(["r10", "r10d", "r10b"].map(whole), ["r10"; 3].map(str::to_owned));
        assert_eq!(["rsi", "sil", "zmm31"].map(whole), ["si", "si", "v31"].map(str::to_owned));
        let masked = Effects::of("vaddps\t%zmm1, %zmm2, %zmm3 {%k1}");
        assert_eq!(masked.read, ["v1", "v2", "k1", "v3"]);
        assert_eq!(Effects::of("vxorps\t%xmm5, %xmm5, %xmm5").read, [""; 0]);
        assert_eq!(Effects::of("imulq\t$3, %rdx, %rax").read, ["dx"]);
    }
}
