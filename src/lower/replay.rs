//! The host half of a replay: code that launches what a candidate in Python launched, on the same grid and with the same arguments.

use super::{LowerError, Mlir, Structured, host::Binary};
use crate::frontend::triton::launches::{Argument, Call, Launch, Replay};
use kinstr_passes::{
    facts::Passed,
    ffi::parse_module,
    transforms::{TransformError, adapt_entry::adapt_entry},
};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

/// Name of the entry: the workload's number, the buffers that are read, and those that are written to.
pub const ENTRY: &str = "replay";
/// Launches of a function: the time that compiling one takes grows faster than their number.
const LAUNCHES: usize = 64;

/// Host code with `binaries` in it, each of which holds the kernel of its number.
///
/// # Errors
/// [`LowerError::Transform`] where the text is not taken, which is a bug.
pub fn host_code<'c>(
    mlir: &'c Mlir,
    replay: &Replay,
    binaries: &[Binary],
) -> Result<Structured<'c>, LowerError> {
    let refused = || TransformError::Refused { what: "the host code of a replay", detail: ENTRY.into() };
    let names: Vec<&str> = binaries.iter().map(|binary| binary.name.as_str()).collect();
    let mut text = String::new();
    Host { replay, names: &names, values: 0, text: &mut text }.write().map_err(|_| refused())?;
    for binary in binaries {
        text += &binary.text();
        text += "\n";
    }
    text += "}\n";
    let module = parse_module(&mlir.context, &text, ENTRY).ok_or_else(refused)?;
    let signature = adapt_entry(&mlir.context, &module, ENTRY)?;
    Ok(Structured { module, signature })
}

/// What is passed to each kernel, by its symbol. Where launches differ, nothing is known.
pub fn passed(replay: &Replay) -> BTreeMap<String, Vec<Passed>> {
    let mut kernels: BTreeMap<String, Vec<Passed>> = BTreeMap::new();
    for launch in replay.calls.iter().flat_map(|call| &call.launches) {
        let now: Vec<Passed> = launch.arguments.iter().map(|argument| argument.passed()).collect();
        let known =
            kernels.entry(replay.kernels[launch.kernel].symbol.clone()).or_insert_with(|| now.clone());
        for (known, now) in known.iter_mut().zip(now) {
            if *known != now {
                *known = Passed::Unknown;
            }
        }
    }
    kernels
}

struct Host<'r> {
    replay: &'r Replay,
    /// Names of the binaries, by kernel.
    names: &'r [&'r str],
    /// Values named so far.
    values: usize,
    text: &'r mut String,
}

impl Host<'_> {
    fn write(&mut self) -> fmt::Result {
        let replay = self.replay;
        writeln!(self.text, "module attributes {{gpu.container_module}} {{")?;
        for (index, call) in replay.calls.iter().enumerate() {
            for (part, launches) in call.launches.chunks(LAUNCHES).enumerate() {
                self.part(&format!("@call{index}.{part}"), launches)?;
            }
        }
        let buffers = self.each_buffer(|index| format!(", %b{index}: memref<?xi8>"));
        writeln!(self.text, "func.func @{ENTRY}(%workload: i64{buffers}) {{")?;
        writeln!(self.text, "%which = arith.index_cast %workload : i64 to index")?;
        writeln!(self.text, "scf.index_switch %which")?;
        for (index, call) in replay.calls.iter().enumerate() {
            writeln!(self.text, "case {index} {{")?;
            self.call(index, call)?;
            writeln!(self.text, "scf.yield\n}}")?;
        }
        writeln!(self.text, "default {{\nscf.yield\n}}")?;
        writeln!(self.text, "return\n}}")
    }

    fn each_buffer(&self, text: impl Fn(usize) -> String) -> String {
        (0..self.replay.inputs + self.replay.outputs).map(text).collect()
    }

    /// A function with some launches of a call.
    fn part(&mut self, name: &str, launches: &[Launch]) -> fmt::Result {
        let buffers =
            self.each_buffer(|index| format!("{}%b{index}: memref<?xi8>", if index > 0 { ", " } else { "" }));
        writeln!(
            self.text,
            "func.func private {name}({buffers}) attributes {{passthrough = [\"noinline\"]}} {{"
        )?;
        launches.iter().try_for_each(|launch| self.launch(launch))?;
        writeln!(self.text, "return\n}}")
    }

    fn call(&mut self, index: usize, call: &Call) -> fmt::Result {
        for (from, to) in &call.copies {
            writeln!(self.text, "gpu.memcpy %b{to}, %b{from} : memref<?xi8>, memref<?xi8>")?;
        }
        let comma = |index: usize| if index > 0 { ", " } else { "" };
        let values = self.each_buffer(|index| format!("{}%b{index}", comma(index)));
        let types = self.each_buffer(|index| format!("{}memref<?xi8>", comma(index)));
        for part in 0..call.launches.len().div_ceil(LAUNCHES) {
            writeln!(self.text, "func.call @call{index}.{part}({values}) : ({types}) -> ()")?;
        }
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> fmt::Result {
        let sizes: Vec<String> = launch
            .grid
            .into_iter()
            .chain([launch.threads, 1])
            .map(|size| self.constant(size.into(), "index"))
            .collect::<Result<_, _>>()?;
        let shared = self.constant(launch.shared.into(), "i32")?;
        let arguments: Vec<String> =
            launch.arguments.iter().map(|argument| self.argument(argument)).collect::<Result<_, _>>()?;
        let [x, y, z, threads, one] = sizes.as_slice() else { return Err(fmt::Error) };
        let (name, symbol) = (self.names[launch.kernel], &self.replay.kernels[launch.kernel].symbol);
        writeln!(
            self.text,
            "gpu.launch_func @\"{name}\"::@\"{symbol}\" blocks in ({x}, {y}, {z}) threads in ({threads}, {one}, {one}) \
             dynamic_shared_memory_size {shared} args({})",
            arguments.join(", ")
        )
    }

    /// The value that is passed, with its type.
    fn argument(&mut self, argument: &Argument) -> Result<String, fmt::Error> {
        match argument {
            Argument::Number { bits, value } => {
                let constant = self.constant(signed(*bits, *value), &format!("i{bits}"))?;
                Ok(format!("{constant} : i{bits}"))
            }
            Argument::Address { buffer, offset, .. } => {
                let offset = self.constant(i64::try_from(*offset).map_err(|_| fmt::Error)?, "i64")?;
                let [start, number, moved, address] = [(); 4].map(|()| self.value());
                let text = &mut self.text;
                writeln!(
                    text,
                    "{start} = memref.extract_aligned_pointer_as_index %b{buffer} : memref<?xi8> -> index"
                )?;
                writeln!(text, "{number} = arith.index_cast {start} : index to i64")?;
                writeln!(text, "{moved} = arith.addi {number}, {offset} : i64")?;
                writeln!(text, "{address} = llvm.inttoptr {moved} : i64 to !llvm.ptr")?;
                Ok(format!("{address} : !llvm.ptr"))
            }
        }
    }

    fn constant(&mut self, value: i64, kind: &str) -> Result<String, fmt::Error> {
        let name = self.value();
        writeln!(self.text, "{name} = arith.constant {value} : {kind}")?;
        Ok(name)
    }

    fn value(&mut self) -> String {
        self.values += 1;
        format!("%v{}", self.values)
    }
}

/// The bits as a number of that width in two's complement, as MLIR writes it.
fn signed(bits: u32, value: u64) -> i64 {
    let above = 64 - bits.min(64);
    (value.wrapping_shl(above) as i64).wrapping_shr(above)
}

impl Argument {
    fn passed(&self) -> Passed {
        match self {
            Self::Address { known: Some(known), .. } => Passed::Argument(*known),
            Self::Address { buffer, known: None, .. } => {
                u32::try_from(*buffer).map_or(Passed::Unknown, Passed::Allocation)
            }
            Self::Number { .. } => Passed::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_bits() {
        assert_eq!(signed(8, 0xFF), -1);
        assert_eq!(signed(32, 0x8000_0000), i64::from(i32::MIN));
        assert_eq!(signed(64, u64::MAX), -1);
        assert_eq!(signed(16, 0x7FFF), 0x7FFF);
    }
}
