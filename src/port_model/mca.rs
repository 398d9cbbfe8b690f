//! llvm-mca as a child process, and its answers in the store: starting it takes longer than anything else about a loop.

use crate::store::{Store, StoreError, digest};
use kinstr_runtime::confine::{self, Confinement};
use serde::Deserialize;
use std::{
    fs::File,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const NAMES: [&str; 3] = ["llvm-mca-22", "/usr/lib/llvm-22/bin/llvm-mca", "llvm-mca"];
/// Iterations that are simulated: what the first ones take to fill the pipeline is below a per cent of them.
const ITERATIONS: u32 = 200;
/// Far more than the longest loop takes, and than LLVM takes to load on a busy machine, which was seen to be above 10 s;
/// without it a hang of llvm-mca would be one of kinstr.
const TIME_OUT: Duration = Duration::from_secs(60);
/// Seconds of work, of which the longest loops take one. Some models never end on some instructions: LLVM 22's of
/// Sapphire Rapids does not on `vcvtneps2bf16`.
const CPU_SECONDS: u64 = 5;
/// Tells a model with a divider from one without, as LLVM 22's are of Alder Lake and Sapphire Rapids.
const DIVISION: &str = "divps\t%xmm1, %xmm2";
/// Cycles from one division to the next, of which every core since 2010 takes three or more (uops.info) and a model without
/// a divider one.
const DIVISION_CYCLES: f64 = 2.0;
/// CPU whose model stands in where LLVM has none of the machine's own, or one that does not end
/// or has no divider.
const STAND_IN: &str = "x86-64-v4";

/// Why there is no model of a loop.
#[derive(Debug, thiserror::Error)]
pub enum McaError {
    /// It is not installed.
    #[error("llvm-mca is not installed (scripts/setup installs it)")]
    Absent,
    /// It could not be run.
    #[error("llvm-mca could not be run: {0}")]
    Run(#[from] io::Error),
    /// It did not end.
    #[error("llvm-mca did not end within {} s", TIME_OUT.as_secs())]
    TimedOut,
    /// It crashed, or worked and did not end.
    #[error("llvm-mca crashes on it, or does not end within {CPU_SECONDS} s of work")]
    Broke,
    /// Its answer could not be kept or read again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It refused the code.
    #[error("llvm-mca: {0}")]
    Refused(String),
    /// Its answer does not look like one.
    #[error("llvm-mca's answer is not understood: {0}")]
    Answer(#[from] serde_json::Error),
}

/// llvm-mca, and the CPU it models.
#[derive(Debug)]
pub struct Mca {
    program: PathBuf,
    /// Tells this llvm-mca from another one.
    identity: String,
    store: Store,
    /// LLVM's name of the CPU whose model is used.
    pub cpu: String,
    /// Whether that model knows that a division keeps its unit busy.
    has_divider: bool,
}

impl Mca {
    /// The installed llvm-mca, for `cpu` or, if LLVM has no scheduling model of it, for one that has its vectors.
    ///
    /// # Errors
    /// [`McaError::Absent`], or whatever running it on one instruction gives.
    pub fn find(cpu: &str, store: &Store) -> Result<Self, McaError> {
        let program = crate::program::find(&NAMES).ok_or(McaError::Absent)?;
        let identity = identity(&program)?;
        let own = Self { program, identity, store: store.clone(), cpu: cpu.to_owned(), has_divider: true };
        match own.simulate(&[DIVISION.into()]) {
            Err(McaError::Refused(_)) => {
                let stand_in = Self { cpu: STAND_IN.into(), ..own };
                stand_in.simulate(&[DIVISION.into()]).map(|_| stand_in)
            }
            tried => {
                let has_divider = tried?.summary.block_throughput >= DIVISION_CYCLES;
                Ok(Self { has_divider, ..own })
            }
        }
    }

    /// Simulates `body`, the instructions of one iteration, over and over; on the model that stands in where the own one does
    /// not end, or knows nothing of the divisions in it. The answer says on which.
    ///
    /// # Errors
    /// [`McaError`]; `Refused` for an instruction that the model does not know.
    pub fn simulate(&self, body: &[String]) -> Result<Region, McaError> {
        let knows_all = self.has_divider || !body.iter().any(|instruction| divides(instruction));
        let cpu = if knows_all { &self.cpu } else { STAND_IN };
        let iterations = ITERATIONS.to_string();
        let parts = [&self.identity, cpu, &iterations].into_iter();
        let digest = digest(parts.chain(body.iter().map(String::as_str)).map(str::as_bytes));
        let make = |dir: &Path| {
            let path = dir.join(ANSWER);
            let answer = match self.ask(body, cpu) {
                Err(McaError::Broke) => self.ask(body, STAND_IN),
                answer => answer,
            };
            let written = std::fs::write(&path, answer?);
            Ok(written.map_err(|error| StoreError::new("write", &path, error))?)
        };
        let read = |dir: &Path| {
            let path = dir.join(ANSWER);
            let text = std::fs::read_to_string(&path);
            region(&text.map_err(|error| StoreError::new("read", &path, error))?)
        };
        Ok(self.store.read_or_make(&digest, make, read)?.value)
    }

    /// llvm-mca's answer for `cpu` as it is.
    fn ask(&self, body: &[String], cpu: &str) -> Result<String, McaError> {
        let mut source = tempfile::tempfile()?;
        body.iter().try_for_each(|instruction| writeln!(source, "\t{instruction}"))?;
        source.rewind()?;
        // Into files, so that neither side ever waits for the other to read.
        let (answer, complaint) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut command = Command::new(&self.program);
        command
            .args(["--mtriple=x86_64-unknown-linux-gnu", &format!("--mcpu={cpu}"), "--json"])
            .args(["--bottleneck-analysis", &format!("--iterations={ITERATIONS}"), "-"])
            .stdin(source)
            .stdout(Stdio::from(answer.try_clone()?))
            .stderr(Stdio::from(complaint.try_clone()?));
        let plan =
            Confinement { cpu_seconds: Some(CPU_SECONDS), writable: Some(vec![]), ..Confinement::default() };
        let _applied = confine::confine(&mut command, &plan, &[])?;
        if !succeeds(command.spawn()?)? {
            // LLVM says what it does not take, and only of that; how a crash ends depends on how it is confined.
            let complaint = whole(complaint)?;
            let refusal = complaint.lines().find_map(|line| line.split_once("error: "));
            return Err(refusal.map_or(McaError::Broke, |(_, what)| McaError::Refused(what.to_owned())));
        }
        Ok(whole(answer)?)
    }
}

/// Whether an instruction in AT&T syntax is a division or a square root of floating-point numbers.
fn divides(instruction: &str) -> bool {
    let name = instruction.split_whitespace().next().unwrap_or_default();
    let name = name.strip_prefix('v').unwrap_or(name);
    ["divs", "divp", "sqrts", "sqrtp"].iter().any(|stem| name.starts_with(stem))
}

/// Name of an answer in the store.
const ANSWER: &str = "llvm-mca.json";

/// Path, size and age: another version has others.
fn identity(program: &Path) -> io::Result<String> {
    let file = program.metadata()?;
    Ok(format!("{} {} {:?}", program.display(), file.len(), file.modified()?))
}

/// The loop in an answer.
fn region(answer: &str) -> Result<Region, McaError> {
    let answer: Answer = serde_json::from_str(answer)?;
    let region = answer.regions.into_iter().next();
    let mut region = region.ok_or_else(|| McaError::Refused("no instruction was simulated".into()))?;
    region.resources = answer.target.resources;
    region.cpu = answer.target.cpu;
    Ok(region)
}

/// Waits for the end, and says whether it was a good one.
fn succeeds(mut child: Child) -> Result<bool, McaError> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if begin.elapsed() > TIME_OUT {
            child.kill()?;
            child.wait()?;
            return Err(McaError::TimedOut);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn whole(mut file: File) -> io::Result<String> {
    file.rewind()?;
    io::read_to_string(file)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "CodeRegions")]
    regions: Vec<Region>,
    #[serde(rename = "TargetInfo")]
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    #[serde(rename = "CPUName")]
    cpu: String,
    #[serde(rename = "Resources")]
    resources: Vec<String>,
}

/// What llvm-mca says of one loop body, by the names of its JSON.
#[derive(Debug, Deserialize)]
pub struct Region {
    #[serde(rename = "SummaryView")]
    pub summary: Summary,
    #[serde(rename = "BottleneckAnalysis")]
    pub bottleneck: Bottleneck,
    #[serde(rename = "InstructionInfoView")]
    pub info: Info,
    #[serde(rename = "ResourcePressureView")]
    pub pressure: Pressure,
    #[serde(rename = "Instructions")]
    pub instructions: Vec<String>,
    /// LLVM's name of the modelled CPU.
    #[serde(skip)]
    pub cpu: String,
    /// Names of the modelled core's resources.
    #[serde(skip)]
    pub resources: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    #[serde(rename = "BlockRThroughput")]
    pub block_throughput: f64,
    pub dispatch_width: f64,
    pub iterations: f64,
    pub total_cycles: f64,
    #[serde(rename = "TotaluOps")]
    pub total_uops: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Bottleneck {
    #[serde(default)]
    pub data_dependency_cycles: f64,
    #[serde(default)]
    pub resource_pressure_cycles: f64,
}

#[derive(Debug, Deserialize)]
pub struct Info {
    #[serde(rename = "InstructionList")]
    pub instructions: Vec<InstructionInfo>,
}

#[derive(Debug, Deserialize)]
pub struct InstructionInfo {
    /// Cycles until its result is there, those of a load in it included.
    #[serde(rename = "Latency")]
    pub latency: f64,
}

#[derive(Debug, Deserialize)]
pub struct Pressure {
    #[serde(rename = "ResourcePressureInfo")]
    pub info: Vec<PressureInfo>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PressureInfo {
    /// The row after the last instruction holds the sums.
    pub instruction_index: usize,
    pub resource_index: usize,
    /// Cycles an iteration.
    pub resource_usage: f64,
}

/// Where it is, for `kinstr doctor`.
pub fn program() -> Option<PathBuf> {
    crate::program::find(&NAMES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty store, and the installed llvm-mca for `cpu`.
    fn mca(cpu: &str) -> (tempfile::TempDir, Mca) {
        let folder = tempfile::tempdir().unwrap();
        let mca = Mca::find(cpu, &Store::at(folder.path().into())).unwrap();
        (folder, mca)
    }

    #[test]
    fn a_model_that_does_not_end_is_stood_in_for() {
        let (_folder, mca) = mca("sapphirerapids");
        let rounds = mca.simulate(&["vcvtneps2bf16\t%ymm0, %xmm0".into()]).unwrap();
        assert_eq!(rounds.cpu, STAND_IN);
        assert_eq!(mca.simulate(&["addq\t$8, %r8".into()]).unwrap().cpu, "sapphirerapids");
    }

    #[test]
    fn a_model_without_a_divider_is_asked_of_no_division() {
        for (cpu, divider) in [("sapphirerapids", STAND_IN), ("znver4", "znver4"), ("no-such-cpu", STAND_IN)]
        {
            let (_folder, mca) = mca(cpu);
            let division = mca.simulate(&["vdivps\t%ymm1, %ymm2, %ymm3".into()]).unwrap();
            assert_eq!(division.cpu, divider);
            assert!(division.summary.block_throughput >= DIVISION_CYCLES, "{cpu}");
        }
        assert!(divides("vsqrtpd\t%ymm1, %ymm3") && !divides("idivq\t%rcx") && !divides("vaddps"));
    }
}
