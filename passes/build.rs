//! Lists the probe files, so that the folder is the registry, and builds the LLVM IR import shim.

use std::{env, fmt::Write as _, fs, path::Path, process::Command};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    list_probes()?;
    build_import_shim()
}

/// Writes `probes.rs`: one `mod` a file of `src/probes`, and the table of all probes, sorted by file name.
fn list_probes() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("src/probes");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.push(path.file_stem().and_then(|stem| stem.to_str()).ok_or("odd file name")?.to_owned());
        }
    }
    names.sort();
    let mut text = String::new();
    for name in &names {
        let path = folder.join(name).with_extension("rs");
        writeln!(text, "#[path = {path:?}]\npub mod {name};")?;
    }
    writeln!(text, "/// Every probe, sorted by name.\npub static ALL: &[&dyn crate::probe::Probe] = &[")?;
    for name in &names {
        writeln!(text, "    &{name}::PROBE,")?;
    }
    writeln!(text, "];")?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("probes.rs"), text)?;
    Ok(())
}

/// MLIR's C API exports LLVM IR but does not import it; `shim.cpp` is what is missing.
fn build_import_shim() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=src/shim.cpp");
    println!("cargo:rerun-if-env-changed=MLIR_SYS_220_PREFIX");
    let prefix = env::var("MLIR_SYS_220_PREFIX").unwrap_or_else(|_| "/usr/lib/llvm-22".into());
    let config = |flag: &str| -> Result<String, Box<dyn std::error::Error>> {
        let output = Command::new(format!("{prefix}/bin/llvm-config")).arg(flag).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").include(config("--includedir")?).file("src/shim.cpp").warnings(false);
    build.flag("-fno-exceptions").opt_level(1).debug(false);
    if config("--has-rtti")? == "NO" {
        build.flag("-fno-rtti");
    }
    build.compile("kinstr_shim");
    Ok(())
}
