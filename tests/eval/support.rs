//! Problems and candidates of a few lines, and `kinstr` runs on them.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const PROBLEM: &str = r#"
name = "double"
axes = { N = "var" }
inputs.x = { shape = ["N"], dtype = "f32" }
outputs.y = { shape = ["N"], dtype = "f32" }
reference = { file = "reference.py" }
[[workloads]]
axes = { N = 1000 }
"#;

const REFERENCE: &str = "import numpy as np\ndef run(x):\n    return x * np.float32(2)\n";

/// The body of a candidate that is right.
pub const DOUBLE: &str = "
  scf.for %i = %c0 to %n step %c1 {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.addf %v, %v : f32
    memref.store %w, %y[%i] : memref<?xf32>
  }";

/// A candidate with `body` as its entry: `%x` and `%y` are its memrefs, `%n` their size.
pub fn kernel(body: &str) -> String {
    format!(
        "func.func @double(%x: memref<?xf32>, %y: memref<?xf32>) {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1.0 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
{body}
  return
}}
"
    )
}

/// A problem, its reference and a candidate in a folder of their own.
pub struct Case {
    folder: TempDir,
    candidate: String,
    problem: String,
    arguments: Vec<String>,
    environment: Vec<(String, PathBuf)>,
}

impl Case {
    /// Doubling a vector, with `candidate`.
    pub fn new(candidate: &str) -> Self {
        Self::of("candidate.mlir", candidate)
    }

    /// Doubling a vector, with a candidate in the file `name`.
    pub fn of(name: &str, text: &str) -> Self {
        let (folder, problem) = (tempfile::tempdir().unwrap(), "problem.toml".into());
        let case = Self { folder, candidate: name.into(), problem, arguments: vec![], environment: vec![] };
        case.file("problem.toml", PROBLEM).file("reference.py", REFERENCE).file(name, text)
    }

    /// With another file, or with other contents.
    pub fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).unwrap();
        self
    }

    /// With `from` replaced in the problem.
    pub fn problem(self, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.path("problem.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        self.file("problem.toml", &text.replace(from, to))
    }

    /// With another problem file.
    pub fn problem_file(mut self, path: impl AsRef<Path>) -> Self {
        self.problem = path.as_ref().display().to_string();
        self
    }

    /// With further arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// With a variable that names a folder of the case.
    pub fn environment(mut self, name: &str, folder: &str) -> Self {
        self.environment.push((name.to_owned(), self.path(folder)));
        self
    }

    /// Path of a file of the case.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The arguments after `kinstr`. What probes cost on a busy machine decides no test.
    pub fn arguments(&self) -> Vec<String> {
        let mut given = vec!["eval", &self.candidate, "--problem", &self.problem];
        for default in [["--budget", "0.05"], ["--out", "out"], ["--overhead-budget", "none"]] {
            if self.arguments.iter().all(|argument| argument != default[0]) {
                given.extend(default);
            }
        }
        let own = self.arguments.iter().map(String::as_str);
        given.into_iter().chain(own).map(str::to_owned).collect()
    }

    /// The command, ready to run in the case's folder.
    pub fn command(&self) -> Command {
        let mut command = kinstr();
        command.args(self.arguments()).current_dir(self.folder.path());
        command.envs(self.environment.iter().map(|(name, folder)| (name, folder)));
        command
    }

    /// Runs it as the last arguments of `program`.
    pub fn wrapped(&self, program: &str, arguments: &[&str]) -> Run {
        let command = self.command();
        let mut wrapped = Command::new(program);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped.args(arguments).arg(command.get_program()).args(command.get_args());
        self.finish(wrapped.stdin(Stdio::null()).current_dir(self.folder.path()).output().unwrap())
    }

    /// Runs it.
    pub fn eval(&self) -> Run {
        self.finish(self.command().output().unwrap())
    }

    /// What a finished run left.
    pub fn finish(&self, output: Output) -> Run {
        let report = fs::read(self.path("out/report.json")).ok();
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            report: report.map(|bytes| serde_json::from_slice(&bytes).unwrap()),
        }
    }

    /// Runs it, and expects it not to be accepted, with these words on standard error and in the report.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) -> Run {
        let run = self.eval();
        assert_eq!(run.code, Some(1), "{}\n{}", run.stderr, run.stdout);
        assert_eq!(run.field("/verdict"), "incorrect");
        assert_eq!(run.field("/fault"), "candidate");
        run.says(words);
        let detail = run.field("/verdict_detail").as_str().unwrap().to_owned();
        assert!(detail.contains(words[0]), "{detail}");
        run
    }

    /// Runs it, and expects exit code `code` without a report, with these words on standard error alone.
    #[track_caller]
    pub fn ends(&self, code: i32, words: &[&str]) -> Run {
        let run = self.eval();
        assert_eq!(run.code, Some(code), "{}\n{}", run.stderr, run.stdout);
        assert_eq!(run.stdout, "");
        assert_eq!(run.report, None);
        run.says(words);
        run
    }

    /// Runs it, and expects a correct candidate.
    #[track_caller]
    pub fn accepted(&self) -> Run {
        let run = self.eval();
        assert_eq!(run.code, Some(0), "{}\n{}", run.stderr, run.stdout);
        assert_eq!(run.stderr, "");
        assert_eq!(run.field("/verdict"), "correct");
        run
    }
}

/// What a run of `kinstr eval` left.
pub struct Run {
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// `report.json`, if there is one.
    pub report: Option<Value>,
}

impl Run {
    /// A value of the report; null where there is none.
    pub fn field(&self, pointer: &str) -> Value {
        self.report.as_ref().and_then(|report| report.pointer(pointer)).cloned().unwrap_or_default()
    }

    /// The report's notes, one a line.
    pub fn notes(&self) -> String {
        let notes = self.field("/notes");
        notes
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|note| format!("{note}\n"))
            .collect()
    }

    /// Expects words on standard error, whatever the width it was wrapped to.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        let bars = |character: char| character == '│' || character == '·' || character.is_whitespace();
        let flat =
            |text: &str| text.split(bars).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let said = flat(&self.stderr);
        for words in words {
            assert!(said.contains(&flat(words)), "`{words}` is not in:\n{}", self.stderr);
        }
    }
}

/// `kinstr`, with a cache that only these tests share, and Python where `scripts/setup` put it.
pub fn kinstr() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinstr"));
    let python = kinstr::store::cache_dir().join("venv/bin/python");
    if python.is_file() && std::env::var_os("KINSTR_PYTHON").is_none() {
        command.env("KINSTR_PYTHON", python);
    }
    command.env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("eval-cache"));
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}
