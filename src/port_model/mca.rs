//! llvm-mca as a child process, and its answers in the store: starting it takes longer than anything else about a loop.

use crate::store::{Store, StoreError, digest};
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
/// CPU whose model stands in where LLVM has none of the machine's own.
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
}

impl Mca {
    /// The installed llvm-mca, for `cpu` or, if LLVM has no scheduling model of it, for one that has its vectors.
    ///
    /// # Errors
    /// [`McaError::Absent`], or whatever running it on one instruction gives.
    pub fn find(cpu: &str, store: &Store) -> Result<Self, McaError> {
        let program = crate::program::find(&NAMES).ok_or(McaError::Absent)?;
        let identity = identity(&program)?;
        let own = Self { program, identity, store: store.clone(), cpu: cpu.to_owned() };
        match own.simulate(&["nop".into()]) {
            Err(McaError::Refused(_)) => {
                let stand_in = Self { cpu: STAND_IN.into(), ..own };
                stand_in.simulate(&["nop".into()]).map(|_| stand_in)
            }
            tried => tried.map(|_| own),
        }
    }

    /// Simulates `body`, the instructions of one iteration, over and over.
    ///
    /// # Errors
    /// [`McaError`]; `Refused` for an instruction that the model does not know.
    pub fn simulate(&self, body: &[String]) -> Result<Region, McaError> {
        let iterations = ITERATIONS.to_string();
        let parts = [&self.identity, &self.cpu, &iterations].into_iter().chain(body);
        let digest = digest(parts.map(|part| part.as_bytes()));
        let make = |dir: &Path| {
            let path = dir.join(ANSWER);
            let written = std::fs::write(&path, self.ask(body)?);
            Ok(written.map_err(|error| StoreError::new("write", &path, error))?)
        };
        let read = |dir: &Path| {
            let path = dir.join(ANSWER);
            let text = std::fs::read_to_string(&path);
            region(&text.map_err(|error| StoreError::new("read", &path, error))?)
        };
        Ok(self.store.read_or_make(&digest, make, read)?.value)
    }

    /// llvm-mca's answer as it is.
    fn ask(&self, body: &[String]) -> Result<String, McaError> {
        let mut source = tempfile::tempfile()?;
        body.iter().try_for_each(|instruction| writeln!(source, "\t{instruction}"))?;
        source.rewind()?;
        // Into files, so that neither side ever waits for the other to read.
        let (answer, complaint) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let child = Command::new(&self.program)
            .args(["--mtriple=x86_64-unknown-linux-gnu", &format!("--mcpu={}", self.cpu), "--json"])
            .args(["--bottleneck-analysis", &format!("--iterations={ITERATIONS}"), "-"])
            .stdin(source)
            .stdout(Stdio::from(answer.try_clone()?))
            .stderr(Stdio::from(complaint.try_clone()?))
            .spawn()?;
        if !succeeds(child)? {
            return Err(McaError::Refused(first_complaint(&whole(complaint)?)));
        }
        Ok(whole(answer)?)
    }
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
    let names = answer.target.resources;
    let region = answer.regions.into_iter().next();
    let mut region = region.ok_or_else(|| McaError::Refused("no instruction was simulated".into()))?;
    region.resources = names;
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

fn first_complaint(stderr: &str) -> String {
    let line = stderr.lines().find(|line| line.contains("error:")).or(stderr.lines().next());
    line.map_or("it failed and gave no reason", |line| line.split("error: ").last().unwrap_or(line))
        .to_owned()
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
