//! C and C++: a file that clang compiles to optimised LLVM IR, from which kinstr goes on.
//!
//! What C says stays what it is: no `noalias` is added to pointers without `restrict`, and mathematics is as
//! strict as the flags say. The scalar code that this may cost is a finding.

use super::{
    FrontendError, Language, Source,
    clang::{self, COMPILERS, Compilation},
    directives::DirectiveError,
};
use inkwell::{context::Context, memory_buffer::MemoryBuffer, module::Module};
use kinstr_passes::context::Message;
use std::{
    ffi::OsString,
    path::Path,
    sync::{Arc, OnceLock},
};

/// Flags a candidate may ask for: none of them reads a file, runs a program or leaves this CPU.
pub const FLAGS: [&str; 34] = [
    "-O0",
    "-O1",
    "-O2",
    "-O3",
    "-ffast-math",
    "-fno-fast-math",
    "-fassociative-math",
    "-freciprocal-math",
    "-ffinite-math-only",
    "-fno-signed-zeros",
    "-fno-trapping-math",
    "-fno-math-errno",
    "-fmath-errno",
    "-fno-honor-nans",
    "-fno-honor-infinities",
    "-fapprox-func",
    "-funsafe-math-optimizations",
    "-fopenmp",
    "-fopenmp-simd",
    "-funroll-loops",
    "-fno-unroll-loops",
    "-fvectorize",
    "-fno-vectorize",
    "-fslp-vectorize",
    "-fno-slp-vectorize",
    "-fno-inline",
    "-fwrapv",
    "-fno-strict-aliasing",
    "-fstrict-aliasing",
    "-fno-exceptions",
    "-fno-rtti",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-finite-loops",
];
/// Flags with a value of letters, digits and `_+-.=`.
pub const FLAGS_WITH_VALUE: [&str; 4] = ["-std=", "-ffp-contract=", "-mprefer-vector-width=", "-D"];

/// Refuses a flag that is not on the list.
///
/// # Errors
/// [`DirectiveError::Flag`].
pub fn check_flag(flag: &str) -> Result<(), DirectiveError> {
    let plain = |value: &str| value.chars().all(|c| c.is_ascii_alphanumeric() || "_+-.=".contains(c));
    let has_value =
        |prefix: &&str| flag.strip_prefix(*prefix).is_some_and(|value| !value.is_empty() && plain(value));
    if FLAGS.contains(&flag) || FLAGS_WITH_VALUE.iter().any(has_value) {
        return Ok(());
    }
    Err(DirectiveError::Flag { flag: flag.to_owned() })
}

/// What markers of regions are compiled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markers {
    /// Nothing, as in the clean build.
    Vanish,
    /// Calls, where regions are timed.
    Stay,
}

/// What the compiler made of a source: LLVM bitcode, without its markers and with them. Compiled once, whoever asks, and
/// shared by clones.
#[derive(Debug, Clone, Default)]
pub struct Compiled(Arc<[OnceLock<Vec<u8>>; 2]>);

impl Compiled {
    fn of(&self, markers: Markers) -> &OnceLock<Vec<u8>> {
        &self.0[usize::from(markers == Markers::Stay)]
    }

    /// Takes what was made earlier. What was made already stays.
    pub fn know(&self, markers: Markers, bitcode: Vec<u8>) {
        self.of(markers).get_or_init(|| bitcode);
    }
}

/// The header with the markers, which `#include <kinstr.h>` finds wherever kinstr is installed.
pub const HEADER: &str = include_str!("kinstr.h");
const HEADER_NAME: &str = "kinstr.h";
/// Folder for the header, beside the candidate.
const HEADERS: &str = "kinstr-headers";

/// The optimised module of `source` with full debug information, from which its signature can be read.
///
/// # Errors
/// [`FrontendError::Compile`] with clang's errors; `Compiler`, `Includes`, `NoCompiler`, `System`.
pub fn compile<'l>(
    source: &Source,
    markers: Markers,
    llvm: &'l Context,
) -> Result<Module<'l>, FrontendError> {
    let compiled = source.compiled.of(markers);
    let bitcode = match compiled.get() {
        Some(bitcode) => bitcode,
        None => {
            let bitcode = bitcode(source, markers)?;
            compiled.get_or_init(|| bitcode)
        }
    };
    let buffer = MemoryBuffer::create_from_memory_range_copy(bitcode, &source.file_name().replace('\0', ""));
    Module::parse_bitcode_from_buffer(&buffer, llvm).map_err(|text| FrontendError::Compile {
        path: source.path.clone(),
        messages: vec![Message { error: true, place: None, text: text.to_string(), notes: Vec::new() }],
    })
}

/// LLVM bitcode of `source`, by the compiler in a process of its own.
///
/// # Errors
/// As [`compile`].
pub fn bitcode(source: &Source, markers: Markers) -> Result<Vec<u8>, FrontendError> {
    let looked_for = || COMPILERS.map(str::to_owned).to_vec();
    let compiler = clang::find().ok_or_else(|| FrontendError::NoCompiler { looked_for: looked_for() })?;
    let scratch = crate::worker::Scratch::new().map_err(FrontendError::System)?;
    let file = source.file_name();
    std::fs::write(scratch.path().join(&file), &source.text).map_err(FrontendError::System)?;
    let headers = scratch.path().join(HEADERS);
    std::fs::create_dir(&headers).map_err(FrontendError::System)?;
    std::fs::write(headers.join(HEADER_NAME), HEADER).map_err(FrontendError::System)?;
    let arguments = arguments(source, markers, &file);
    let shown = source.path.to_string_lossy();
    match clang::run(&compiler, &arguments, scratch.path(), &file, &shown).map_err(FrontendError::System)? {
        Compilation::Done => {}
        Compilation::Refused(messages) => {
            return Err(FrontendError::Compile { path: source.path.clone(), messages });
        }
        Compilation::Broke(reason) => {
            return Err(FrontendError::Compiler { path: source.path.clone(), reason });
        }
    }
    check_includes(source, scratch.path())?;
    std::fs::read(scratch.path().join(BITCODE)).map_err(FrontendError::System)
}

const BITCODE: &str = "candidate.bc";
const INCLUDED: &str = "included.d";

/// Debug information is full, because only it knows the types behind pointers; it does not change the code, and all
/// but lines is stripped afterwards.
fn arguments(source: &Source, markers: Markers, file: &str) -> Vec<OsString> {
    let language = if source.language == Language::Cpp { "c++" } else { "c" };
    let mut arguments: Vec<OsString> = [
        "-x",
        language,
        "-O3",
        "-march=native",
        "-fPIC",
        "-fveclib=libmvec",
        "-g",
        "-fvisibility=hidden",
        "-ffile-compilation-dir=.",
        // The file is given with its folder, and known without.
        "-ffile-prefix-map=./=",
        "-w",
        "-fno-color-diagnostics",
        "-fno-caret-diagnostics",
        "-fmessage-length=0",
        "-fno-crash-diagnostics",
        "-c",
        "-emit-llvm",
        // As headers of the system, which are no files of the candidate's.
        "-isystem",
        HEADERS,
        "-MMD",
        "-MT",
        "candidate",
        "-MF",
        INCLUDED,
        "-o",
        BITCODE,
    ]
    .map(OsString::from)
    .to_vec();
    if markers == Markers::Stay {
        arguments.push("-DKINSTR_MARKED".into());
    }
    arguments.extend(source.directives.flags.iter().map(OsString::from));
    // With a folder, a name that begins with `-` is no option, to whatever program of the compiler's.
    arguments.push(format!("./{file}").into());
    arguments
}

/// What a candidate includes beyond the system's headers is in no digest: a change of it would go unseen.
fn check_includes(source: &Source, scratch: &Path) -> Result<(), FrontendError> {
    let list = std::fs::read_to_string(scratch.join(INCLUDED)).map_err(FrontendError::System)?;
    let included = dependencies(&list);
    if included.is_empty() {
        return Ok(());
    }
    Err(FrontendError::Includes { path: source.path.clone(), included })
}

/// What a list in make's words names after the file itself, which stands first. Spaces in a name are behind `\`; what
/// else make would want written otherwise stays as it is.
fn dependencies(list: &str) -> Vec<String> {
    let list = list.replace("\\\n", " ");
    let list = list.strip_prefix("candidate:").unwrap_or(&list);
    let spaced = list.replace("\\ ", "\0");
    spaced.split_whitespace().skip(1).map(|name| name.replace('\0', " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_dependency_is_the_candidate_however_it_is_written() {
        assert!(dependencies("candidate: ./a\\#b.c\n").is_empty());
        assert!(dependencies("candidate: \\\n  ./$$x\\ y.c\n").is_empty());
        assert_eq!(dependencies("candidate: ./a.c \\\n  /tmp/my\\ own.h\n"), ["/tmp/my own.h"]);
    }

    #[test]
    fn only_listed_flags_are_allowed() {
        for flag in ["-ffast-math", "-std=c++20", "-DTILE=8", "-mprefer-vector-width=256"] {
            assert_eq!(check_flag(flag), Ok(()), "{flag}");
        }
        for flag in ["-fplugin=x", "-I/etc", "-D", "-DX=\"a\"", "-std=", "@file", "-march=znver1", "x.c"] {
            assert!(check_flag(flag).is_err(), "{flag}");
        }
    }
}
