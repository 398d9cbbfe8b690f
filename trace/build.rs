//! Lists the rules in `src/synthesis/`, so that a rule is one file and no list has to be edited.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("src/synthesis");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut modules = rule_modules(&folder)?;
    modules.sort();
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("rules.rs"), registry(&folder, &modules))
}

/// Module names of the rule files in `folder`.
fn rule_modules(folder: &Path) -> io::Result<Vec<String>> {
    let mut modules = vec![];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let stem = path.file_stem().unwrap_or_default();
            modules.push(stem.to_string_lossy().into_owned());
        }
    }
    Ok(modules)
}

/// Source of the registry: the modules, then the table of rules.
fn registry(folder: &Path, modules: &[String]) -> String {
    let mut text = String::new();
    let path = |module: &str| folder.join(format!("{module}.rs")).display().to_string();
    for module in modules {
        let _ = writeln!(text, "#[path = {:?}]\nmod {module};", path(module));
    }
    let _ = writeln!(text, "const RULES: &[Rule] = &[");
    for module in modules {
        let name = module.replace('_', "-");
        let _ = writeln!(
            text,
            "Rule {{ name: {name:?}, code: {module}::CODE, targets: {module}::TARGETS, \
             needs: {module}::NEEDS, diagnose: {module}::diagnose, source: include_str!({:?}) }},",
            path(module)
        );
    }
    text + "];\n"
}
