//! Two workloads of softmax, whose launches Triton's compiler makes up: there is no GPU here to launch anything.

use super::*;
use crate::{
    codegen::cuda::Tools,
    frontend::{
        Language,
        triton::{Stages, launches::Noted},
    },
    reference,
};
use kinstr_trace::sites::{Buffer, SiteKeys, SiteKind};

/// Writes the folder that a host would, with a kernel of the width of each.
const NOTE: &str = r#"
import json, os, sys
sys.path.insert(0, sys.argv[2])
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from kinstr.triton_stages import compile_to_llvm_ir, finish
from kinstr.loading import import_file

module = import_file(sys.argv[1], "candidate", "the candidate")
for number, block in enumerate([1024, 2048]):
    folder = os.path.join(sys.argv[3], str(number))
    os.mkdir(folder)
    names = module.softmax_kernel.arg_names
    signature = {name: "*fp32" if name.endswith("_ptr") else "i32" for name in names}
    signature["BLOCK"] = "constexpr"
    attributes = {(index,): [["tt.divisibility", 16]] for index in range(6)}
    source = ASTSource(module.softmax_kernel, signature, {"BLOCK": block}, attributes)
    target = GPUTarget("cuda", 90, 32)
    compiled = compile_to_llvm_ir(source, target, {"num_warps": 4}, False)
    marked = compile_to_llvm_ir(source, target, {"num_warps": 4}, True)
    metadata = {name: value for name, value in compiled.finish[1].items() if name != "target"}
    # As it comes back from where Triton keeps it.
    metadata = json.loads(json.dumps(metadata | {"arch_number": 90}))
    def write(name, text):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    write("kernel-0.ll", compiled.llvm_ir)
    write("kernel-0.ptx", finish(compiled.llvm_ir, metadata))
    write("kernel-0.marked.ll", marked.llvm_ir)
    size = 8 * block * 4
    memory = [{"bytes": size, "input": 0, "output": None, "content": False, "changed": False},
              {"bytes": size, "input": None, "output": 0, "content": False, "changed": False}]
    number = lambda value: {"bits": 32, "value": value}
    null = {"bits": 64, "value": 0}
    arguments = [{"memory": 0, "offset": 0}, {"memory": 1, "offset": 0}, *map(number, [block, block, 8, block]), null, null]
    launch = {"kernel": 0, "grid": [8, 1, 1], "threads": 128, "shared": metadata["shared"], "arguments": arguments}
    kernel = {"name": "softmax_kernel", "marked": marked.marked, "metadata": metadata}
    write("launches.json", json.dumps({"kernels": [kernel], "memory": memory, "launches": [launch], "others": {}}))
"#;

#[test]
fn kernels_of_all_workloads_are_built_with_probes_in_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let candidate = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/triton/02-softmax/scoped.py");
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let python = reference::command("kinstr.host").unwrap();
    let mut note = std::process::Command::new(python.get_program());
    note.args(["-c", NOTE]).args([&candidate, &package, folder.path()]);
    assert!(note.env("TRITON_CACHE_DIR", folder.path().join("cache")).status().unwrap().success());
    let noted = ["0", "1"].map(|number| Noted::read(&folder.path().join(number)).unwrap());
    let (mut replay, _) = Replay::of(&noted, 1);
    // More launches than one function of the host code has, and a tensor that is set back before them.
    replay.calls[0].launches = vec![replay.calls[0].launches[0].clone(); 130];
    replay.calls[1].copies = vec![(0, 1)];
    let source =
        Source::new(&candidate, serde_json::to_string(&replay).unwrap(), Language::Launches).unwrap();
    let tools = Tools { triton: Some(Stages::find().unwrap()), ..Tools::default() };
    let target = Target::Cuda { chip: "sm_90".into() };
    let dir = tempfile::tempdir().unwrap();
    let probes = Probes::on(&target);
    make(&source, &probes, "sm_90", &tools, dir.path()).unwrap();

    let manifest: Manifest = job::read(dir.path(), MANIFEST).unwrap();
    let kernels: Vec<&str> = manifest.clean.kernels.iter().map(|kernel| kernel.kernel.as_str()).collect();
    assert_eq!(kernels, ["softmax_kernel", "softmax_kernel_2"]);
    assert!(manifest.clean.kernels.iter().all(|kernel| kernel.registers > 0));
    assert!(
        manifest.clean.kernels.iter().all(|kernel| kernel
            .place
            .as_ref()
            .unwrap()
            .file
            .ends_with("scoped.py"))
    );
    let build = |instrumented: &Instrumented| instrumented.build().unwrap().clone();
    let timing = build(&manifest.timing);
    let regions = |symbol: &str| {
        let sites = timing.sites.iter().flat_map(|table| &table.sites);
        let regions = sites.filter(|site| site.kind == SiteKind::Region && site.function == symbol);
        regions.map(|site| site.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(regions("softmax_kernel"), ["load", "reduction"]);
    assert_eq!(regions("softmax_kernel_2"), ["load", "reduction"]);
    // Accesses are of the problem's buffers, because the launches say what kernels are given.
    let observing = build(&manifest.observing).sites.unwrap();
    let is_of = |index| {
        observing
            .sites
            .iter()
            .any(|site| format!("{site:?}").contains(&format!("{:?}", Buffer::Argument(index))))
    };
    assert!(is_of(0) && is_of(1));
    for built in [&manifest.clean, &timing, &build(&manifest.timeline), &build(&manifest.counting)] {
        assert!(dir.path().join(&built.library).is_file());
    }
    let ptx = std::fs::read_to_string(dir.path().join("clean.ptx")).unwrap();
    assert!(ptx.contains(".entry softmax_kernel(") && ptx.contains(".entry softmax_kernel_2("));

    let table = timing.sites.as_ref().unwrap();
    let all = table.sites.iter().zip(SiteKeys::of(table));
    let kept = Choice(all.filter(|(site, _)| site.kind == SiteKind::Kernel).map(|(_, key)| key).collect());
    let chosen = tempfile::tempdir().unwrap();
    make_chosen(&source, &probes, &kept, manifest, &tools, chosen.path()).unwrap();
    let manifest: Manifest = job::read(chosen.path(), MANIFEST).unwrap();
    let sites = build(&manifest.timing).sites.unwrap().sites;
    assert!(!sites.is_empty() && sites.iter().all(|site| site.kind == SiteKind::Kernel), "{sites:?}");
}

#[test]
fn a_kernel_gets_another_name_and_all_else_stays() {
    let ptx = |name: &str| {
        format!(
            ".target sm_90a, texmode_independent\n.visible .entry {name}(\n.param .u64 r1_param_0)\n{{ ld.param.u64 %r1, [r1_param_0]; ret; }}\n"
        )
    };
    assert_eq!(renamed(&ptx("r1"), "r1", "r1_2"), ptx("r1_2"));
    assert_eq!(renamed(&ptx("ret"), "ret", "ret_2"), ptx("ret_2"));
    assert_eq!(chip_of(&ptx("r1")), "sm_90a");
}
