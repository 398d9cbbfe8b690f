"""What kinstr's probes cost in Triton kernels: clean and instrumented launches in turns, on one GPU.

Every example of examples/triton/ is launched as its candidate launches it, and as `kinstr opt` instrumented it, with records on: the
same arguments, grid and stream, only the function differs. Kernels with scopes run under Triton's own profiler as well, if it is there.
Needs PyTorch and Triton in the Python that runs this, and ptxas. `kinstr eval` has its own certificate, which says the same of one candidate.
"""

import argparse
import ctypes
import importlib.util
import json
import math
import os
import pathlib
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import torch
import triton
from triton.compiler import CompiledKernel

parser = argparse.ArgumentParser(prog="scripts/gpu_triton.py", description=__doc__)
parser.add_argument("--kinstr", default=os.environ.get("KINSTR", "target/release/kinstr"))
parser.add_argument("--rounds", type=int, default=41, help="turns of either kernel")
parser.add_argument("--probes", default="block-timeline,loop-time,barrier-wait,async-wait", help="what is put into kernels without scopes")
parser.add_argument("--only", default="", metavar="WORD", help="examples with WORD in their path")
parser.add_argument("--proton", metavar="CANDIDATE", type=pathlib.Path, help="time one candidate under Triton's own profiler instead")
chosen = parser.parse_args()

EXAMPLES = pathlib.Path("examples/triton")
#: What is timed of a kernel with scopes, to be compared with Triton's profiler, which times these alone.
SCOPES = "region-time"
#: Launches in one graph: what surrounds a replay does not show.
LAUNCHES = 20
#: As `trace/src/layout.rs` has them: bytes of the state, of a unit's header, and where the launch's header is.
STATE_BYTES, UNIT_BYTES, LAUNCH_AT = 256, 128, 136
#: Units at most, as in an evaluation: of larger grids a sample of the blocks records.
UNITS = 4 << 10

cuda = ctypes.CDLL("libcuda.so.1")
rows = []


def row(name: str, figure: str, bound: str, holds: bool) -> None:
    rows.append(holds)
    print(f"{'ok    ' if holds else 'FAIL  '} {name:64} {figure:>24}   {bound}", flush=True)


def checked(code: int, what: str) -> None:
    if code != 0:
        sys.exit(f"{what}: error {code} of the CUDA driver")


class Launches:
    """The launches of a candidate's forward: what is compiled, where, with what."""

    def __init__(self) -> None:
        self.seen = []
        self.property = CompiledKernel.run

    def __enter__(self) -> "Launches":
        def run(compiled):
            launch = self.property.fget(compiled)

            def noted(x, y, z, *others):
                # Stream, function, metadata and hooks come before the kernel's own arguments.
                self.seen.append((compiled, (x, y, z), others[6:]))
                return launch(x, y, z, *others)

            return noted

        CompiledKernel.run = property(run)
        return self

    def __exit__(self, *_) -> None:
        CompiledKernel.run = self.property


class Recorded:
    """A kernel with probes, loaded, and the memory that its warps record into."""

    def __init__(self, candidate: pathlib.Path, compiled, grid, folder: pathlib.Path) -> None:
        self.sites = folder / "sites.json"
        probes = SCOPES if candidate.stem == "scoped" else chosen.probes
        begin = time.perf_counter()
        ptx = run_kinstr("opt", candidate, "--target", target(), "--probes", probes, "--emit", "ptx", "--sites", self.sites)
        self.compile_seconds = time.perf_counter() - begin
        text, cubin = folder / "kernel.ptx", folder / "kernel.cubin"
        text.write_text(ptx)
        from triton.backends.nvidia.compiler import get_ptxas

        arch = f"sm_{compiled.metadata.target.arch}" + ("a" if compiled.metadata.target.arch >= 90 else "")
        subprocess.run([get_ptxas(compiled.metadata.target.arch).path, "-lineinfo", f"--gpu-name={arch}", text, "-o", cubin], check=True)
        load = triton.runtime.driver.active.utils.load_binary
        image = cubin.read_bytes()
        module, self.function, self.registers, self.spills, _ = load(
            compiled.name, image, compiled.metadata.shared, torch.cuda.current_device()
        )
        state, size = ctypes.c_uint64(), ctypes.c_size_t()
        found = cuda.cuModuleGetGlobal_v2(ctypes.byref(state), ctypes.byref(size), ctypes.c_void_p(module), b"__kinstr_state")
        checked(found, "cuModuleGetGlobal")
        self.attach(state.value, json.loads(self.sites.read_text()), grid, compiled.metadata.num_warps)

    def attach(self, state: int, table: dict, grid, warps: int) -> None:
        sites, words = len(table["sites"]), sum(site.get("words", 0) for site in table["sites"])
        self.stride = -(-(UNIT_BYTES + 40 * sites + 8 * words) // 128) * 128
        blocks, shift = grid[0] * grid[1] * grid[2], 0
        while -(-blocks // (1 << shift)) * warps > UNITS:
            shift += 1
        self.units = -(-blocks // (1 << shift)) * warps
        self.head = bytearray(STATE_BYTES)
        struct.pack_into("<8sQQQIIIIQII", self.head, 0, b"KPROBE02", 0, 0, self.stride, self.units, self.units, 0, sites, 0, 0, 1)
        struct.pack_into("<Q", self.head, 128, words)
        blank = torch.zeros((self.units, self.stride // 8), dtype=torch.int64)
        blank[:, 0] = torch.arange(self.units)
        blank[:, 7] = -1
        for site in range(sites):
            blank[:, (UNIT_BYTES + 32 * site + 16) // 8] = -1
        self.blank = blank.cuda()
        self.memory = self.blank.clone()
        state_head = bytearray(self.head)
        struct.pack_into("<Q", state_head, 16, self.memory.data_ptr())
        struct.pack_into("<IIIII", state_head, LAUNCH_AT, 0, 0xFFFFFFFF, shift, 0, (1 << shift) - 1)
        source = (ctypes.c_char * STATE_BYTES).from_buffer(state_head)
        checked(cuda.cuMemcpyHtoD_v2(ctypes.c_uint64(state), source, ctypes.c_size_t(STATE_BYTES)), "cuMemcpyHtoD")

    def totals(self, folder: pathlib.Path) -> dict:
        """What one launch recorded, added up by kinstr."""
        units = self.memory.cpu()
        file = folder / "timing.krec"
        self.head[96:128] = bytes.fromhex(self.digest(file))
        file.write_bytes(bytes(self.head) + units.numpy().tobytes())
        return json.loads(run_kinstr("trace", file, "--sites", self.sites, "--format", "summary-json"))

    def digest(self, file: pathlib.Path) -> str:
        """The digest of the site table, which kinstr misses in records without one."""
        file.write_bytes(bytes(self.head) + bytes(self.units * self.stride))
        command = [chosen.kinstr, "trace", file, "--sites", self.sites, "--format", "summary-json"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
        words = re.findall(r"expected([0-9a-f]{64})", re.sub(r"[\s│]", "", said))
        return words[-1] if words else sys.exit(f"kinstr takes records without a digest: {said}")


def target() -> str:
    major, minor = torch.cuda.get_device_capability()
    return f"cuda:sm_{major}{minor}"


def run_kinstr(*arguments) -> str:
    environment = os.environ | {"KINSTR_PYTHON": sys.executable}
    done = subprocess.run([chosen.kinstr, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=120)
    if done.returncode != 0:
        sys.exit(f"kinstr {arguments[0]} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def imported(path: pathlib.Path):
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}".replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepared(candidate: pathlib.Path):
    """The candidate's only launch, after it has agreed with the problem's reference."""
    problem, own = imported(candidate.parent / "problem.py"), imported(candidate)
    torch.manual_seed(0)
    inputs = [tensor.cuda() for tensor in problem.get_inputs()]
    model = problem.Model(*problem.get_init_inputs()).cuda()
    new = own.ModelNew(*problem.get_init_inputs()).cuda()
    new.load_state_dict(model.state_dict())
    with torch.no_grad(), Launches() as launches:
        output = new(*inputs)
        torch.testing.assert_close(output, model(*inputs), rtol=2e-2, atol=2e-2)
    (launch,) = launches.seen
    return launch, output


def graph_of(compiled, function, grid, arguments):
    """A graph of some launches."""
    graph = torch.cuda.CUDAGraph()

    def launch():
        stream = torch.cuda.current_stream().cuda_stream
        compiled.run(*grid, stream, function, compiled.packed_metadata, None, None, None, *arguments)

    launch()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        for _ in range(LAUNCHES):
            launch()
    return graph


def timed(graph) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    graph.replay()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / LAUNCHES * 1e3


def compare(candidate: pathlib.Path, folder: pathlib.Path) -> dict:
    """Clean and instrumented kernel in turns, in both orders."""
    (compiled, grid, arguments), output = prepared(candidate)
    recorded = Recorded(candidate, compiled, grid, folder)
    clean, probed = graph_of(compiled, compiled.function, grid, arguments), graph_of(compiled, recorded.function, grid, arguments)
    output.fill_(float("nan"))
    clean.replay()
    wanted = output.clone()
    output.fill_(float("nan"))
    probed.replay()
    identical = torch.equal(wanted.view(torch.uint8), output.view(torch.uint8))
    times = {"clean": [], "probed": []}
    for turn in range(chosen.rounds):
        for name, graph in [("clean", clean), ("probed", probed)][:: 1 if turn % 2 else -1]:
            times[name].append(timed(graph))
    ratio = statistics.median(b / a for a, b in zip(times["clean"], times["probed"]))
    recorded.memory.copy_(recorded.blank)
    stream = torch.cuda.current_stream().cuda_stream
    compiled.run(*grid, stream, recorded.function, compiled.packed_metadata, None, None, None, *arguments)
    torch.cuda.synchronize()
    totals = recorded.totals(folder)
    return {
        "clean_us": statistics.median(times["clean"]),
        "ratio": ratio,
        "identical": identical,
        "registers": (compiled.n_regs, recorded.registers),
        "spills": (compiled.n_spills, recorded.spills),
        "totals": totals,
        "host_us": host_us(recorded, folder),
        "units": recorded.units,
    }


def show(name: str, found: dict) -> None:
    row(f"{name}: instrumented / clean", f"{found['ratio']:.3f}", "<= 1.08", found["ratio"] <= 1.08)
    row(f"{name}: outputs bit-identical", str(found["identical"]), "True", found["identical"])
    before, after = found["registers"]
    row(f"{name}: registers", f"{before} -> {after}", "<= 8 more", after - before <= 8)
    print(f"       {name}: {found['clean_us']:.1f} us clean, {found['units']} warps recorded, spills {found['spills']}, host {found['host_us']:.0f} us a launch")
    for site in found["totals"].get("sites", []):
        place, spent = site.get("place") or {}, site.get("time") or {}
        print(f"         {site['name']:44} {place.get('file')}:{place.get('line')} {site['count']:8} times, {spent.get('mean_ns', 0):9.0f} ns each")


def kernel_us(model, inputs, name: str, calls: int) -> tuple[float, float]:
    """Time on the device of the kernel `name`, and of a call on the host with all that surrounds it, in us."""
    from torch.profiler import ProfilerActivity, profile

    walls = []
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(calls):
            begin = time.perf_counter()
            model(*inputs)
            torch.cuda.synchronize()
            walls.append(time.perf_counter() - begin)
    times = [event.device_time for event in profiled.events() if event.name == name]
    return statistics.median(times), statistics.median(walls) * 1e6


def under_proton(candidate: pathlib.Path) -> None:
    """One candidate without and with Triton's own instrumentation: a process for it alone, since that stays on."""
    import triton.profiler as proton
    import triton.profiler.language as language

    (compiled, *_), _ = prepared(candidate)
    problem, own = imported(candidate.parent / "problem.py"), imported(candidate)
    inputs, model = [tensor.cuda() for tensor in problem.get_inputs()], own.ModelNew(*problem.get_init_inputs()).cuda()
    clean, clean_wall = kernel_us(model, inputs, compiled.name, 21)
    language.enable_semantic("triton")
    with tempfile.TemporaryDirectory() as folder:
        proton.start(str(pathlib.Path(folder) / "proton"), backend="instrumentation")
        model(*inputs)
        probed, wall = kernel_us(model, inputs, compiled.name, 5)
        proton.finalize()
    print(f"       proton: kernel {clean:.1f} -> {probed:.1f} us, {probed / clean:.3f}; host {clean_wall:.0f} -> {wall:.0f} us a launch")


def host_us(recorded: "Recorded", folder: pathlib.Path) -> float:
    """What an instrumented launch costs the host: units made blank, records copied, decoded and added up, in us."""
    begin = time.perf_counter()
    recorded.memory.copy_(recorded.blank)
    recorded.memory.cpu()
    copied = time.perf_counter() - begin
    file = folder / "timing.krec"
    command = [chosen.kinstr, "trace", file, "--sites", recorded.sites, "--format", "summary-json"]
    version = [chosen.kinstr, "--version"]

    def took(command) -> float:
        begin = time.perf_counter()
        subprocess.run(command, capture_output=True, timeout=60, check=True)
        return time.perf_counter() - begin

    started = min(took(version) for _ in range(5))
    return (copied + max(min(took(command) for _ in range(5)) - started, 0)) * 1e6


def main() -> None:
    if chosen.proton:
        return under_proton(chosen.proton)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}")
    ratios = []
    candidates = sorted(EXAMPLES.glob("*/kernel.py")) + sorted(EXAMPLES.glob("*/scoped.py"))
    for candidate in [path for path in candidates if chosen.only in str(path)]:
        name = f"{candidate.parent.name}/{candidate.stem}"
        with tempfile.TemporaryDirectory() as folder:
            found = compare(candidate, pathlib.Path(folder))
        show(name, found)
        if candidate.stem == "kernel":
            ratios.append(found["ratio"])
        else:
            subprocess.run([sys.executable, __file__, "--proton", candidate], timeout=150)
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        row("instrumented / clean, geometric mean", f"{mean:.3f}", "<= 1.02", mean <= 1.02)
    print(f"{sum(rows)} ok, {len(rows) - sum(rows)} failed")
    sys.exit(0 if all(rows) else 1)


main()
