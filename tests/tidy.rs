//! The house rules that no lint covers. A failure names the file, the line and the rule.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders whose contents are not ours, or not source.
const SKIPPED: &[&str] = &["target", ".git", "__pycache__", "node_modules"];
/// The longest a source file may be, in lines.
const LONGEST: usize = 800;
/// Where C is met, and so the only places for `unsafe`.
const UNSAFE_PLACES: &[&str] = &["runtime/", "passes/src/ffi.rs"];
/// What the doc header of each file of a registry folder must hold, for `kinstr explain`.
const REGISTRIES: &[(&str, &[&str])] = &[
    ("passes/src/probes", &["What it measures", "How", "Cost", "Records"]),
    ("trace/src/synthesis", &["What it means", "Evidence", "When it fires", "Potential", "What to try"]),
];

#[test]
fn no_source_file_is_too_long() {
    complain(sources().iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > LONGEST).then(|| format!("{}: {lines} lines, at most {LONGEST}", source.path))
    }));
}

#[test]
fn unsafe_is_only_where_c_is_met() {
    complain(rust_lines(|path| !UNSAFE_PLACES.iter().any(|place| path.starts_with(place))).filter_map(
        |(place, line)| {
            has_word(&line, "unsafe").then(|| format!("{place}: unsafe code outside {UNSAFE_PLACES:?}"))
        },
    ));
}

#[test]
fn only_the_command_line_prints() {
    let printers = ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!("];
    let exempt = |path: &str| {
        let program = path.starts_with("src/cli/") || path.ends_with("build.rs");
        program || ["benches/", "tests/"].iter().any(|folder| path.contains(folder))
    };
    complain(rust_lines(|path| !exempt(path)).filter_map(|(place, line)| {
        printers.iter().any(|printer| line.contains(printer)).then(|| format!("{place}: only src/cli prints"))
    }));
}

#[test]
fn nothing_is_left_to_do() {
    // Spelt in two halves, so that this file is not its own first finding.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["to", "do!("], ["unimplemented", "!("]]
        .map(|half| half.concat());
    complain(sources().iter().flat_map(|source| {
        source.text.lines().enumerate().filter_map(|(index, line)| {
            let mark = marks.iter().find(|mark| line.contains(mark.as_str()))?;
            Some(format!("{}:{}: {mark}", source.path, index + 1))
        })
    }));
}

#[test]
fn each_probe_and_diagnosis_explains_itself() {
    complain(registered().flat_map(|(source, headings)| {
        let header: Vec<&str> = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let missing = |heading: &&&str| !header.contains(&format!("//! ## {heading}").as_str());
        let say = |heading: &&str| format!("{}: no heading `## {heading}` in its header", source.path);
        headings.iter().filter(missing).map(say).collect::<Vec<_>>()
    }));
}

#[test]
fn each_probe_and_diagnosis_has_a_test() {
    // `list` and `explain` name everything there is, and test none of it.
    let is_test = |path: &String| {
        ["trace/tests/", "passes/tests/", "lit-tests/probes/"].iter().any(|folder| path.starts_with(folder))
    };
    let tests: Vec<String> = files(&root()).into_iter().filter(is_test).collect();
    let tests: Vec<Source> = tests.into_iter().map(|path| Source { text: read(&path), path }).collect();
    complain(registered().filter_map(|(source, _)| {
        let name = Path::new(&source.path).file_stem()?.to_str()?.to_owned();
        let names = [name.replace('_', "-"), name];
        let tested = source.text.contains("#[cfg(test)]")
            || tests
                .iter()
                .any(|test| names.iter().any(|name| test.path.contains(name) || test.text.contains(name)));
        (!tested).then(|| format!("{}: no test in it, and none that names it", source.path))
    }));
}

#[test]
fn each_example_says_what_it_needs() {
    complain(files(&root()).into_iter().filter(|path| path.starts_with("examples/")).filter_map(|path| {
        if ![".mlir", ".c", ".cpp", ".ll", "kernelbench.py"].iter().any(|ending| path.ends_with(ending)) {
            return None;
        }
        let text = read(&path);
        let first = text.lines().next().unwrap_or_default();
        (!first.contains("Needs: ")).then(|| format!("{path}:1: does not say what it needs"))
    }));
}

#[test]
fn each_planted_cause_is_in_the_table_of_the_examples() {
    let table = read("examples/README.md");
    complain(files(&root()).into_iter().filter(|path| path.starts_with("examples/")).filter_map(|path| {
        let text = read(&path);
        let cause = text.lines().find_map(|line| line.strip_prefix("// planted: "))?;
        let folder = Path::new(&path).parent()?.file_name()?.to_str()?.to_owned();
        let candidate = Path::new(&path).file_stem()?.to_str()?.to_owned();
        let row = format!("| `{folder}` | `{candidate}` | `{cause}`: ");
        (!table.contains(&row)).then(|| format!("{path}: no row of examples/README.md begins with {row}"))
    }));
}

#[test]
fn words_are_told_from_parts_of_words() {
    assert!(has_word("unsafe { f() }", "unsafe"));
    assert!(!has_word("deny(unsafe_op_in_unsafe_fn)", "unsafe"));
}

struct Source {
    /// Relative to the repository, with forward slashes.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Every file of the repository, sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() && !path.is_symlink() {
            if !SKIPPED.contains(&name.as_str()) {
                found.extend(files(&path));
            }
        } else if let Ok(relative) = path.strip_prefix(root()) {
            found.push(relative.to_string_lossy().replace('\\', "/"));
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let endings = [".rs", ".py", ".mlir", ".cpp", ".c", ".toml"];
    let is_source =
        |path: &String| endings.iter().any(|ending| path.ends_with(ending)) || path.starts_with("scripts/");
    files(&root()).into_iter().filter(is_source).map(|path| Source { text: read(&path), path }).collect()
}

/// The code lines of the Rust files that `wanted` selects, up to each file's tests, each with `path:line`.
fn rust_lines(wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, String)> {
    // This file spells out what it forbids.
    let is_code = |path: &str| path.ends_with(".rs") && path != "tests/tidy.rs";
    let selected: Vec<Source> =
        sources().into_iter().filter(|source| is_code(&source.path) && wanted(&source.path)).collect();
    selected.into_iter().flat_map(|source| {
        let tests = own_tests(&source.text).unwrap_or(source.text.len());
        let code: Vec<_> = source.text[..tests]
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(index, line)| (format!("{}:{}", source.path, index + 1), line.to_owned()))
            .collect();
        code
    })
}

/// Where a file's own tests begin; a module of tests in another file ends nothing.
fn own_tests(text: &str) -> Option<usize> {
    let is_inline = |(at, _): &(usize, &str)| {
        let declared = text[*at..].lines().skip(1).find(|line| !line.starts_with("#["));
        declared.is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
    };
    text.match_indices("#[cfg(test)]").find(is_inline).map(|(at, _)| at)
}

/// The files of the registry folders, each with the headings its folder asks for.
fn registered() -> impl Iterator<Item = (Source, &'static [&'static str])> {
    REGISTRIES.iter().flat_map(|(folder, headings)| {
        let of_folder = move |source: &Source| {
            Path::new(&source.path).parent() == Some(Path::new(folder)) && !source.path.ends_with("mod.rs")
        };
        sources().into_iter().filter(of_folder).map(move |source| (source, *headings))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|character: char| !character.is_alphanumeric() && character != '_').any(|part| part == word)
}

/// Fails with all findings at once, one a line.
fn complain(findings: impl Iterator<Item = String>) {
    let findings: Vec<String> = findings.collect();
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}
