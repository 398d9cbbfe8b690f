//! What a call of a candidate in Python launches with Triton, as its host wrote it down (`python/kinstr/launches.py`), and all workloads'
//! calls together: what is built with probes and launched again.

use super::TritonError;
use serde::{Deserialize, Serialize};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

/// Name of the file that says what is launched.
const LAUNCHES: &str = "launches.json";
/// Bytes of all texts that the host may have written, and of all contents.
const MOST_TEXT: u64 = 256 << 20;
const MOST_CONTENT: u64 = 2 << 30;
/// Bytes of one allocation. Whether there is room for all of them is asked before they are made.
const LARGEST: u64 = 4 << 30;
/// Kernels, allocations and launches of a call, and arguments of a kernel. The host's own limits are no higher.
const MOST_KERNELS: usize = 64;
const MOST_ALLOCATIONS: usize = 1024;
const MOST_LAUNCHES: usize = 4096;
const MOST_ARGUMENTS: usize = 1024;

/// One call's launches, as they were written down. The candidate may have written them in its host's name.
#[derive(Debug)]
pub struct Noted {
    told: Told,
    kernels: Vec<Texts>,
    /// What is in memory that is none of the problem's inputs, where it matters.
    contents: Vec<Option<Arc<Vec<u8>>>>,
}

#[derive(Debug, Deserialize)]
struct Told {
    kernels: Vec<ToldKernel>,
    memory: Vec<ToldMemory>,
    launches: Vec<ToldLaunch>,
    others: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct ToldKernel {
    name: String,
    marked: bool,
    metadata: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct ToldMemory {
    bytes: u64,
    input: Option<u32>,
    output: Option<u32>,
    content: bool,
    changed: bool,
}

#[derive(Debug, Deserialize)]
struct ToldLaunch {
    kernel: usize,
    grid: [u32; 3],
    threads: u32,
    shared: u32,
    arguments: Vec<ToldArgument>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ToldArgument {
    Memory { memory: usize, offset: u64 },
    Number { bits: u32, value: u64 },
}

#[derive(Debug)]
struct Texts {
    llvm_ir: String,
    marked: Option<String>,
    ptx: String,
}

impl Noted {
    /// Reads what was written to `folder`.
    ///
    /// # Errors
    /// [`TritonError::Launches`] for what no host of kinstr's writes.
    pub fn read(folder: &Path) -> Result<Self, TritonError> {
        let (texts_left, contents_left) = (Cell::new(MOST_TEXT), Cell::new(MOST_CONTENT));
        let told: Told = serde_json::from_slice(&read(folder, LAUNCHES, &texts_left)?)
            .map_err(|error| TritonError::Launches(error.to_string()))?;
        told.check()?;
        let text = |name: String| {
            let bytes = read(folder, &name, &texts_left)?;
            String::from_utf8(bytes).map_err(|_| TritonError::Launches(format!("{name} is no text")))
        };
        let texts = |(number, kernel): (usize, &ToldKernel)| {
            let marked = kernel.marked.then(|| text(format!("kernel-{number}.marked.ll"))).transpose()?;
            let (llvm_ir, ptx) =
                (text(format!("kernel-{number}.ll"))?, text(format!("kernel-{number}.ptx"))?);
            Ok(Texts { llvm_ir, marked, ptx })
        };
        let content = |(number, memory): (usize, &ToldMemory)| {
            let name = format!("memory-{number}");
            let bytes = memory.content.then(|| read(folder, &name, &contents_left)).transpose()?;
            match bytes {
                Some(bytes) if bytes.len() as u64 != memory.bytes => {
                    Err(TritonError::Launches(format!("{name} does not hold {} bytes", memory.bytes)))
                }
                bytes => Ok(bytes.map(Arc::new)),
            }
        };
        let kernels = told.kernels.iter().enumerate().map(texts).collect::<Result<_, TritonError>>()?;
        let contents = told.memory.iter().enumerate().map(content).collect::<Result<_, TritonError>>()?;
        Ok(Self { kernels, contents, told })
    }

    /// What PyTorch's own operations did in between: their names, and how often.
    pub fn others(&self) -> &BTreeMap<String, u64> {
        &self.told.others
    }

    /// How many launches there are.
    pub fn launches(&self) -> usize {
        self.told.launches.len()
    }

    /// Every allocation in the order of the replay's buffers.
    fn slots(&self) -> Vec<Slot<'_>> {
        let all = self.told.memory.iter().zip(&self.contents);
        all.map(|(memory, content)| Slot::of(memory, content.as_ref())).collect()
    }
}

impl Told {
    fn check(&self) -> Result<(), TritonError> {
        let fits = |launch: &ToldLaunch| {
            let known = |argument: &ToldArgument| match argument {
                ToldArgument::Memory { memory, offset } => {
                    self.memory.get(*memory).is_some_and(|memory| *offset <= memory.bytes)
                }
                ToldArgument::Number { bits, .. } => matches!(bits, 8 | 16 | 32 | 64),
            };
            launch.kernel < self.kernels.len()
                && launch.arguments.len() <= MOST_ARGUMENTS
                && launch.arguments.iter().all(known)
        };
        let is_symbol = |kernel: &ToldKernel| {
            !kernel.name.is_empty()
                && kernel.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let sound = self.launches.iter().all(fits)
            && self.kernels.iter().all(is_symbol)
            && self.memory.iter().all(|memory| memory.bytes <= LARGEST)
            && self.memory.len() <= MOST_ALLOCATIONS
            && self.kernels.len() <= MOST_KERNELS
            && self.launches.len() <= MOST_LAUNCHES;
        if sound { Ok(()) } else { Err(TritonError::Launches("they do not fit each other".into())) }
    }
}

/// Reads a file of a folder that somebody else may write to: itself, and not what a link in its place points to. Of the bytes that are
/// `left` for all such files it takes its own.
fn read(folder: &Path, name: &str, left: &Cell<u64>) -> Result<Vec<u8>, TritonError> {
    let most = left.get();
    let failed = |error: std::io::Error| TritonError::Launches(format!("{name}: {error}"));
    let file =
        File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(folder.join(name));
    let file = file.map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > most {
        return Err(TritonError::Launches(format!("{name} is no file, or there is more than can be read")));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    left.set(most - bytes.len() as u64);
    Ok(bytes)
}

/// What an allocation is to those who launch again.
#[derive(Debug, Clone, Copy)]
struct Slot<'n> {
    bytes: u64,
    /// What it holds before, if it matters, and whether that is no more than a beginning.
    before: Option<Before<'n>>,
    /// Whether it is written to.
    written: bool,
    /// The problem's output that it is.
    output: Option<u32>,
}

/// What a buffer holds before a call.
#[derive(Debug, Clone, Copy)]
pub enum Before<'n> {
    /// The problem's input of that number.
    Input(u32),
    /// These bytes.
    Bytes(&'n Arc<Vec<u8>>),
}

impl<'n> Slot<'n> {
    /// The problem's buffer that it is.
    fn known(&self, problem_inputs: u32) -> Option<u32> {
        match self.before {
            Some(Before::Input(input)) => Some(input),
            _ => self.output.map(|output| problem_inputs.saturating_add(output)),
        }
    }

    fn of(memory: &ToldMemory, content: Option<&'n Arc<Vec<u8>>>) -> Self {
        let before = match memory.input {
            Some(input) => Some(Before::Input(input)),
            None => content.map(Before::Bytes),
        };
        Self {
            bytes: memory.bytes,
            before,
            // An output that holds what it held before was written to all the same.
            written: memory.changed
                || before.is_none()
                || (memory.input.is_none() && memory.output.is_some()),
            output: memory.output,
        }
    }
}

/// All workloads' launches: what is built, and then launched again by host code that kinstr writes. It is a candidate's text to who builds
/// it. Buffers are the host code's arguments: those that are read, then those that are written to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Every kernel of any workload.
    pub kernels: Vec<Kernel>,
    /// Buffers that calls read.
    pub inputs: usize,
    /// Buffers that calls write to.
    pub outputs: usize,
    /// What a call does, by workload.
    pub calls: Vec<Call>,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// Its symbol in the replay, which no other has.
    pub symbol: String,
    /// Its symbol in Triton's code.
    pub name: String,
    /// What Triton knows of it.
    pub metadata: serde_json::Value,
    /// Its LLVM IR.
    pub llvm_ir: String,
    /// The same with its scopes marked, if it has any.
    pub marked: Option<String>,
    /// The PTX that Triton made of it.
    pub ptx: String,
}

/// What a call does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Copies before everything else: from an input to an output whose beginning it is.
    pub copies: Vec<(usize, usize)>,
    /// The launches, in order.
    pub launches: Vec<Launch>,
}

/// One launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// Number of its kernel.
    pub kernel: usize,
    /// Blocks by dimension.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// What is passed.
    pub arguments: Vec<Argument>,
}

/// One argument of a kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Argument {
    /// An address.
    Address {
        /// Number of the buffer, inputs first.
        buffer: usize,
        /// Bytes from its start.
        offset: u64,
        /// The problem's buffer that it is, inputs first.
        known: Option<u32>,
    },
    /// A number of that many bits.
    Number {
        /// How many.
        bits: u32,
        /// They, zeros above.
        value: u64,
    },
}

/// The buffers of a workload's call.
#[derive(Debug, Default)]
pub struct Buffers<'n> {
    /// Those that are read: bytes, and what they hold.
    pub inputs: Vec<(u64, Before<'n>)>,
    /// Those that are written to: bytes, and the problem's output that one is.
    pub outputs: Vec<(u64, Option<u32>)>,
}

impl Replay {
    /// The calls of all workloads, and the buffers of each. The problem has so many inputs.
    pub fn of(noted: &[Noted], problem_inputs: u32) -> (Self, Vec<Buffers<'_>>) {
        let buffers: Vec<Buffers<'_>> = noted.iter().map(buffers).collect();
        let most = |count: fn(&Buffers<'_>) -> usize| buffers.iter().map(count).max().unwrap_or(0);
        let (inputs, outputs) = (most(|buffers| buffers.inputs.len()), most(|buffers| buffers.outputs.len()));
        let mut replay = Self { kernels: Vec::new(), inputs, outputs, calls: Vec::new() };
        for noted in noted {
            let numbers: Vec<usize> = noted
                .told
                .kernels
                .iter()
                .zip(&noted.kernels)
                .map(|(told, texts)| replay.number(told, texts))
                .collect();
            replay.calls.push(call(noted, &numbers, inputs, problem_inputs));
        }
        (replay, buffers)
    }

    /// The number of a kernel, which another workload may have launched as well.
    fn number(&mut self, told: &ToldKernel, texts: &Texts) -> usize {
        let is_same = |kernel: &Kernel| {
            kernel.name == told.name && kernel.llvm_ir == texts.llvm_ir && kernel.metadata == told.metadata
        };
        if let Some(known) = self.kernels.iter().position(is_same) {
            return known;
        }
        let taken: BTreeSet<&str> = self.kernels.iter().map(|kernel| kernel.symbol.as_str()).collect();
        let numbered = (2..).map(|number| format!("{}_{number}", told.name));
        let symbol =
            std::iter::once(told.name.clone()).chain(numbered).find(|name| !taken.contains(name.as_str()));
        self.kernels.push(Kernel {
            symbol: symbol.unwrap_or_default(),
            name: told.name.clone(),
            metadata: told.metadata.clone(),
            llvm_ir: texts.llvm_ir.clone(),
            marked: texts.marked.clone(),
            ptx: texts.ptx.clone(),
        });
        self.kernels.len() - 1
    }
}

fn buffers(noted: &Noted) -> Buffers<'_> {
    let mut buffers = Buffers::default();
    for slot in noted.slots() {
        buffers.inputs.extend(slot.before.map(|before| (slot.bytes, before)));
        buffers.outputs.extend(slot.written.then_some((slot.bytes, slot.output)));
    }
    buffers
}

/// A call whose kernels have these `numbers`, where outputs come after so many `inputs`.
fn call(noted: &Noted, numbers: &[usize], inputs: usize, problem_inputs: u32) -> Call {
    let (mut call, mut places) = (Call::default(), Vec::new());
    let (mut read, mut written) = (0, inputs);
    for slot in noted.slots() {
        let known = slot.known(problem_inputs);
        places.push((if slot.written { written } else { read }, known));
        if slot.before.is_some() && slot.written {
            call.copies.push((read, written));
        }
        read += usize::from(slot.before.is_some());
        written += usize::from(slot.written);
    }
    let argument = |argument: &ToldArgument| match *argument {
        ToldArgument::Memory { memory, offset } => {
            Argument::Address { buffer: places[memory].0, offset, known: places[memory].1 }
        }
        ToldArgument::Number { bits, value } => Argument::Number { bits, value },
    };
    let launch = |launch: &ToldLaunch| Launch {
        kernel: numbers[launch.kernel],
        grid: launch.grid,
        threads: launch.threads,
        shared: launch.shared,
        arguments: launch.arguments.iter().map(argument).collect(),
    };
    call.launches = noted.told.launches.iter().map(launch).collect();
    call
}

#[cfg(test)]
mod tests;
