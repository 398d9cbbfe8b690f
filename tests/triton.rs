//! The Triton examples, compiled and instrumented without a GPU.
//!
//! What a GPU would say of them is not asked here: that probes sit in the loops and waits of the candidate's own lines, that
//! `ptxas` takes the code, and what registers the probes cost.
#![allow(clippy::unwrap_used)]

use kinstr::{
    codegen::{self, CodegenError, cuda::Tools, machine::Machine, ptxas},
    frontend::{
        Source,
        triton::{self, Compiler},
    },
    lower::{
        LowerError, Mlir,
        device::{self, Probes},
    },
};
use kinstr_passes::probe::{self, Probe};
use kinstr_trace::{
    device::KernelResources,
    sites::{ProbeSite, SiteKind, SiteTable},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What an evaluation on a GPU times.
const TIMING: [&str; 5] = ["region-time", "block-timeline", "loop-time", "barrier-wait", "async-wait"];
/// Registers that these may add.
const MOST_REGISTERS: u32 = 8;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Lower(#[from] LowerError),
    #[error(transparent)]
    Codegen(#[from] CodegenError),
}

/// An example's kernel, without probes and with them.
struct Instrumented {
    sites: Vec<ProbeSite>,
    clean: KernelResources,
    probed: KernelResources,
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/triton").join(name).join("kernel.py")
}

fn instrumented(name: &str) -> Instrumented {
    let source = Source::read(&example(name)).unwrap();
    let kernel = &source.directives.kernels[0];
    let mut compiler = Compiler::start(&source.path, "sm_90").unwrap();
    let text = compiler.compile(kernel, true).unwrap();
    let (mlir, llvm, machine) = (Mlir::new().unwrap(), codegen::context(), Machine::nvptx("sm_90").unwrap());
    let code = triton::parse(&kernel.name, &text, &llvm).unwrap();
    let devices = [device::adopt::<Error>(&mlir, code, &machine).unwrap()];
    let probes: Vec<&dyn Probe> = TIMING.map(|name| probe::find(name).unwrap()).into();
    let probes = Probes { probes: &probes, before: SiteTable::default(), choice: None };
    let (modules, sites) = device::insert(&mlir, &devices, probes).unwrap();
    device::convert(&mlir, &modules[0], &sites).unwrap();
    let probed = device::instrumented::<Error>(&mlir, &devices, &modules, &machine, &llvm).unwrap();
    let mut resources = |code: &inkwell::module::Module<'_>| {
        let printed = code.print_to_string().to_string();
        let ptx = compiler.finish(&kernel.name, &triton::as_triton_reads_it(&printed, &text)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernel.ptx");
        std::fs::write(&file, ptx).unwrap();
        // Triton brings it along.
        let assembler = Tools::find().ptxas.unwrap();
        ptxas::assemble(&assembler, &file, "sm_90a", &[]).unwrap().kernels.pop().unwrap()
    };
    Instrumented {
        sites: sites.sites,
        clean: resources(&devices[0].code),
        probed: resources(&probed[0].code),
    }
}

/// Holds an example to its registers, and its sites to lines with these words, each line once.
fn holds(name: &str, wanted: &[(SiteKind, u32, &str)]) {
    let Instrumented { sites, clean, probed } = instrumented(name);
    assert_eq!(probed.spill_store_bytes, clean.spill_store_bytes, "{name}: the probes make it spill");
    let added = probed.registers.saturating_sub(clean.registers);
    assert!(added <= MOST_REGISTERS, "{name}: {} registers became {}", clean.registers, probed.registers);
    let text = std::fs::read_to_string(example(name)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let found = sites.iter().map(|site| {
        let place = site.place.as_ref().unwrap();
        assert_eq!(place.file, "kernel.py", "{name}: {} stands in a file of others", site.name);
        (site.kind, site.loop_depth, lines[place.line as usize - 1].trim())
    });
    let mut found: Vec<_> = found.collect();
    found.dedup();
    let shown = |sites: &[(SiteKind, u32, &str)]| {
        let lines = sites.iter().map(|(kind, depth, line)| format!("{kind:?} {depth} {line}"));
        lines.collect::<Vec<_>>().join("\n")
    };
    for site in wanted {
        let is = |found: &&(SiteKind, u32, &str)| {
            (found.0, found.1) == (site.0, site.1) && found.2.starts_with(site.2)
        };
        assert_eq!(found.iter().filter(is).count(), 1, "{name}: {}\n{}", shown(&[*site]), shown(&found));
    }
}

#[test]
fn vector_add() {
    holds("01-vector-add", &[(SiteKind::Kernel, 0, "def add_kernel")]);
}

#[test]
fn softmax() {
    holds(
        "02-softmax",
        &[
            (SiteKind::Kernel, 0, "def softmax_kernel"),
            (SiteKind::Loop, 1, "for row in tl.range"),
            (SiteKind::Barrier, 1, "e = tl.exp(x - tl.max(x, axis=0))"),
            (SiteKind::Barrier, 1, "y = e / tl.sum(e, axis=0)"),
        ],
    );
}

#[test]
fn matmul() {
    holds(
        "03-matmul",
        &[
            (SiteKind::Loop, 1, "for step in range"),
            (SiteKind::Barrier, 1, "a = tl.load"),
            (SiteKind::AsyncWait, 1, "a = tl.load"),
            (SiteKind::AsyncWait, 1, "sums = tl.dot"),
        ],
    );
}

#[test]
fn layernorm() {
    let loops = [
        (SiteKind::Loop, 1, "for start in range"),
        (SiteKind::Barrier, 0, "mean = tl.sum(sums, axis=0)"),
        (SiteKind::Barrier, 0, "scale = 1 / tl.sqrt(tl.sum(squares, axis=0)"),
    ];
    // Three loops look alike; that all have a site is in their number.
    let Instrumented { sites, .. } = instrumented("04-layernorm");
    assert_eq!(sites.iter().filter(|site| site.kind == SiteKind::Loop).count(), 3);
    holds("04-layernorm", &loops[1..]);
}

#[test]
fn attention() {
    holds(
        "05-attention",
        &[
            (SiteKind::Loop, 1, "for start in range"),
            (SiteKind::AsyncWait, 1, "k = tl.load"),
            (SiteKind::AsyncWait, 1, "scores = tl.where"),
        ],
    );
}

const SCOPED: &str = r#""""Scopes are regions."""
# kinstr: kernel=sums(*fp32:16, *fp32:16, i32, 1024)
import triton
import triton.language as tl
import triton.profiler.language as pl


@triton.jit
def sums(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    lanes = tl.arange(0, BLOCK)
    partial = tl.zeros([BLOCK], dtype=tl.float32)
    with pl.scope("all of it"):
        for start in range(0, n, BLOCK):
            partial += tl.load(x_ptr + start + lanes, mask=start + lanes < n, other=0.0)
    with pl.scope("reduce"):
        total = tl.sum(partial, axis=0)
    tl.store(y_ptr, total)
"#;

/// Runs `kinstr opt` on a file with `text`.
fn opt(text: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("k.py"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinstr"));
    command.arg("opt").args(arguments).args(["--", "k.py"]).current_dir(folder.path());
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

#[test]
fn scopes_are_regions_of_their_names() {
    let target = ["--target", "cuda:sm_90"];
    let (code, table) =
        opt(SCOPED, &[&target[..], &["--probes", "region-time,loop-time", "--emit", "sites"]].concat());
    assert_eq!(code, Some(0), "{table}");
    let table: SiteTable = serde_json::from_str(&table).unwrap();
    let site = |name: &str| table.sites.iter().find(|site| site.name == name).unwrap();
    let line = |site: &ProbeSite| site.place.as_ref().unwrap().line;
    assert_eq!((line(site("all of it")), line(site("reduce"))), (12, 15));
    assert_eq!(site("sums:loop0").parent, Some(site("all of it").id));
    let (code, ptx) = opt(SCOPED, &[&target[..], &["--probes", "region-time", "--emit", "ptx"]].concat());
    assert_eq!(code, Some(0), "{ptx}");
    assert!(ptx.contains("__kinstr_state") && !ptx.contains("kinstr: begin"), "{ptx}");
    // What takes the probes out leaves the kernel as it was.
    let strip = ["--probes", "region-time", "--strip", "--emit", "mlir"];
    let (_, stripped) = opt(SCOPED, &[&target[..], &strip[..]].concat());
    assert!(!stripped.contains("kprobe."), "{stripped}");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let (ended, said) = opt(SCOPED, &["--target", "cuda:sm_9z", "--emit", "ptx"]);
    assert_eq!(ended, Some(2), "{said}");
    assert!(said.contains("its chips are named like `sm_90`"), "{said}");
    let emit = ["--target", "cuda:sm_90", "--emit", "llvm-ir"];
    let refused = |text: &str, code: i32, words: &[&str]| {
        let (ended, said) = opt(text, &emit);
        assert_eq!(ended, Some(code), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "`{word}` is not in:\n{said}"));
    };
    refused("import triton\n", 2, &["which Triton kernels to compile", "# kinstr: kernel="]);
    refused("# kinstr: kernel=k(i8:3)\n", 2, &["k.py:1", "`i8:3` is no argument"]);
    refused(
        &SCOPED.replace("kernel=sums", "kernel=sum"),
        1,
        &["no Triton kernel `sum`", "it has `sums`", "k.py:2"],
    );
    refused(&SCOPED.replace("i32, 1024", "1024"), 1, &["takes 4 arguments", "x_ptr, y_ptr, n, BLOCK"]);
    let broken = SCOPED.replace("total = tl.sum(partial, axis=0)", "total = tl.sum(partial, axis=7)");
    refused(&broken, 1, &["being compiled", "k.py:16"]);
    refused(&SCOPED.replace("import triton\n", "import no_such_package\n"), 3, &["`no_such_package`"]);
}
