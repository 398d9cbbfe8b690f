//! What a wrong prediction costs: one branch on random bits against the same branch on equal bits.

use std::arch::asm;

/// Outcomes in a row: more than a predictor remembers, and still in L2.
const OUTCOMES: usize = 1 << 17;

/// Extra time of a branch that is predicted wrongly, in ns. Random bits are foreseen half of the time.
pub(super) fn mispredict_ns() -> f64 {
    let random = random_bits();
    let equal = vec![0; OUTCOMES];
    let run_ns = |bits: &[u8]| 1e9 / super::per_second(|rounds| branches(bits, rounds)) / OUTCOMES as f64;
    2.0 * (run_ns(&random) - run_ns(&equal))
}

/// Xorshift by Marsaglia (2003), from a fixed seed.
fn random_bits() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as u8 & 1
    };
    (0..OUTCOMES).map(|_| next()).collect()
}

/// Branches on every one of `bits`, `rounds` times.
fn branches(bits: &[u8], rounds: u64) {
    for _ in 0..rounds {
        for bit in bits {
            // SAFETY: changes the flags and a register that is declared; touches no memory.
            unsafe {
                asm!(
                    "test {bit}, 1",
                    "jz 2f",
                    "inc {sum}",
                    "2:",
                    bit = in(reg_byte) *bit,
                    sum = inout(reg) 0_u64 => _,
                    options(nomem, nostack),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bits_are_even_and_not_constant() {
        let ones = random_bits().iter().filter(|bit| **bit == 1).count();
        assert!((OUTCOMES * 45 / 100..OUTCOMES * 55 / 100).contains(&ones), "{ones}");
    }
}
