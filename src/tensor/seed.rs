//! Seeds: the same problem gives the same inputs on every machine.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which content the inputs of a workload get. Distinct for every problem, workload and ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Seed(u64);

/// Keeps these hashes apart from every other use of the hash.
const CONTEXT: &str = "kinstr 2026-11 input contents";

impl Seed {
    /// How many seeds a workload is checked with unless told otherwise.
    pub const DEFAULT_COUNT: u32 = 3;

    /// The `ordinal`-th seed of a workload; another one for every `salt`.
    pub fn derive(problem: &str, workload: &str, ordinal: u32, salt: &str) -> Seed {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        let salt = Some(salt.as_bytes()).filter(|salt| !salt.is_empty());
        for part in [problem.as_bytes(), workload.as_bytes(), &ordinal.to_le_bytes()].into_iter().chain(salt)
        {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        // PyTorch takes seeds as signed 64-bit numbers.
        Seed(u64::from_le_bytes(first) >> 1)
    }

    /// The number, below 2^63, for generators outside kinstr.
    pub fn number(self) -> u64 {
        self.0
    }

    /// A generator for one input, independent of the other inputs'.
    ///
    /// ChaCha with 8 rounds: the stream is specified, so it is the same on every machine and in every version.
    pub(super) fn generator(self, input: &str) -> ChaCha8Rng {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&self.0.to_le_bytes());
        hasher.update(input.as_bytes());
        ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_by_every_part() {
        let base = Seed::derive("softmax", "M=4", 0, "");
        assert_eq!(base, Seed::derive("softmax", "M=4", 0, ""));
        assert_ne!(base, Seed::derive("softmax", "M=4", 1, ""));
        assert_ne!(base, Seed::derive("softmax", "M=8", 0, ""));
        assert_ne!(base, Seed::derive("softmax", "M=4", 0, "candidate"));
        assert_ne!(base, Seed::derive("softmaxM", "=4", 0, ""));
    }
}
