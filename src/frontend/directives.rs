//! What a candidate's comments ask for: lines `// kinstr: key=value`, in LLVM IR `; kinstr: key=value`, in Python
//! `# kinstr: key=value`.

use super::{
    Language, c,
    triton::{KernelError, KernelSpec},
};

/// What the `kinstr:` lines ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Directives {
    /// Entry function. By default MLIR's only public function, and in C the function of the problem's name.
    pub entry: Option<String>,
    /// Pass pipeline to run in place of the default structured half (MLIR).
    pub pipeline: Option<String>,
    /// Further compiler flags, each of them allowed (C, C++).
    pub flags: Vec<String>,
    /// Threads the candidate may run on; 1 by default.
    pub threads: Option<u32>,
    /// Triton kernels, for where nothing launches them (Python).
    pub kernels: Vec<KernelSpec>,
}

/// Why a directive is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum DirectiveError {
    /// No such key.
    #[error("unknown directive `{text}`")]
    Unknown { text: String },
    /// The key means nothing in this language.
    #[error("the directive `{key}` means nothing in {language}")]
    Elsewhere { key: String, language: &'static str },
    /// A compiler flag that is not on the list.
    #[error("the compiler flag `{flag}` is not allowed")]
    Flag { flag: String },
    /// No number of threads.
    #[error("`{value}` is no number of threads from 1 to {MAX_THREADS}")]
    Threads { value: String },
    /// No Triton kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Threads a candidate may ask for.
pub const MAX_THREADS: u32 = 256;

/// Languages whose candidates kinstr builds.
const COMPILED: [Language; 4] = [Language::Mlir, Language::LlvmIr, Language::C, Language::Cpp];

/// Reads the directives of `text`. A pipeline, or flags, may go on over several lines.
///
/// # Errors
/// The line, from 1, and what is wrong with it.
pub fn read(text: &str, language: Language) -> Result<Directives, (usize, DirectiveError)> {
    let comment = match language {
        Language::LlvmIr => ";",
        Language::Python => "#",
        Language::Mlir | Language::C | Language::Cpp => "//",
        Language::Launches => return Ok(Directives::default()),
    };
    let mut found = Directives::default();
    for (index, line) in text.lines().enumerate() {
        let body =
            line.trim().strip_prefix(comment).and_then(|line| line.trim_start().strip_prefix("kinstr:"));
        if let Some(body) = body {
            found.add(body.trim(), language, index + 1).map_err(|error| (index + 1, error))?;
        }
    }
    Ok(found)
}

impl Directives {
    fn add(&mut self, body: &str, language: Language, line: usize) -> Result<(), DirectiveError> {
        let unknown = || DirectiveError::Unknown { text: body.to_owned() };
        let (key, value) = body.split_once('=').ok_or_else(unknown)?;
        let (key, value) = (key.trim(), value.trim());
        let only = |languages: &[Language]| match languages.contains(&language) {
            true => Ok(()),
            false => Err(DirectiveError::Elsewhere { key: key.to_owned(), language: language.name() }),
        };
        match key {
            "entry" => {
                only(&COMPILED)?;
                self.entry = Some(value.trim_start_matches('@').to_owned());
            }
            "pipeline" => {
                only(&[Language::Mlir])?;
                let value = value.trim_end_matches(',');
                self.pipeline = Some(match self.pipeline.take() {
                    None => value.to_owned(),
                    Some(earlier) if is_open(&earlier) || value.starts_with([')', '}']) => earlier + value,
                    Some(earlier) => format!("{earlier},{value}"),
                });
            }
            "flags" => {
                only(&[Language::C, Language::Cpp])?;
                for flag in value.split_whitespace() {
                    c::check_flag(flag)?;
                    self.flags.push(flag.to_owned());
                }
            }
            "threads" => {
                only(&COMPILED)?;
                let threads = value.parse().ok().filter(|threads| (1..=MAX_THREADS).contains(threads));
                let refused = || DirectiveError::Threads { value: value.to_owned() };
                self.threads = Some(threads.ok_or_else(refused)?);
            }
            "kernel" => {
                only(&[Language::Python])?;
                self.kernels.push(KernelSpec::parse(value, line)?);
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

/// Whether a pipeline goes on after `text` with no comma.
fn is_open(text: &str) -> bool {
    text.ends_with(['(', '{'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_and_unknown_ones_refused() {
        let text = "// kinstr: entry=@f\n  // kinstr: pipeline=cse,\n// kinstr: pipeline=canonicalize\n";
        let found = read(text, Language::Mlir).unwrap();
        assert_eq!(found.entry.as_deref(), Some("f"));
        assert_eq!(found.pipeline.as_deref(), Some("cse,canonicalize"));
        let nested = "// kinstr: pipeline=builtin.module(\n// kinstr: pipeline=cse,\n\
                      // kinstr: pipeline=func.func(canonicalize)\n// kinstr: pipeline=)\n";
        let pipeline = read(nested, Language::Mlir).unwrap().pipeline;
        assert_eq!(pipeline.as_deref(), Some("builtin.module(cse,func.func(canonicalize))"));
        let unknown = read("\n// kinstr: spped=3", Language::Mlir);
        assert!(matches!(unknown, Err((2, DirectiveError::Unknown { .. }))));
    }

    #[test]
    fn flags_and_threads_are_checked() {
        let found =
            read("// kinstr: flags=-ffast-math -fopenmp\n// kinstr: threads=2\n", Language::C).unwrap();
        assert_eq!(found.flags, ["-ffast-math", "-fopenmp"]);
        assert_eq!(found.threads, Some(2));
        let refused = |text, language| read(text, language).unwrap_err().1;
        let plugin = refused("// kinstr: flags=-fplugin=x.so", Language::C);
        assert_eq!(plugin, DirectiveError::Flag { flag: "-fplugin=x.so".into() });
        assert!(matches!(refused("; kinstr: flags=-O2", Language::LlvmIr), DirectiveError::Elsewhere { .. }));
        assert!(matches!(refused("// kinstr: threads=0", Language::C), DirectiveError::Threads { .. }));
    }
}
