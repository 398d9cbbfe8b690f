"""What needs an NVIDIA GPU, one verdict line an item; called by scripts/gpu-test."""

import argparse
import math
import pathlib
import re
import statistics
import sys
import tarfile
import tempfile
import time

import gpu_faults
import gpu_kernels
import gpu_python
import gpu_streams
from gpu_run import Runner

parser = argparse.ArgumentParser(prog="scripts/gpu-test", description=__doc__)
parser.add_argument("--only", metavar="NAME", help="doctor, faults, examples, figures, python and triton (which a whole run leaves out), a part of these such as python-times, or a part of an example's path")
parser.add_argument("--target", default="cuda:0", help="where to run (default: cuda:0)")
parser.add_argument("--reference", choices=["numpy", "torch", "mlir"], default="numpy", help="which references to compare with (default: numpy)")
parser.add_argument("--budget", default="0.5", metavar="SECONDS", help="measuring time for each example (default: 0.5)")
parser.add_argument("--seconds", type=float, default=520, help="time for everything; what does not fit fails (default: 520)")
parser.add_argument("--kinstr", default="target/release/kinstr", help=argparse.SUPPRESS)
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("target/gpu-test"), help=argparse.SUPPRESS)
chosen = parser.parse_args()

EXAMPLES = pathlib.Path("examples/gpu")
KERNELS = pathlib.Path("tests/gpu")
# A slow example that is not this much slower than its cure plants nothing.
SLOWER = 1.1
# What a slow example's cause alone costs, where its cure does more than to remove that: the same kernel without it. Its cure has tensor cores
# and tiles besides, or also merges the launches.
WITHOUT = {
    "02-matmul/naive": KERNELS / "lanes-along-rows/matmul.mlir",
    "11-many-launches/wait-a-step": EXAMPLES / "11-many-launches/launch-a-step.mlir",
}
# No rule promises more than this factor: a fiftieth of the time is the least that any says would be left.
MOST_PROMISED = 50
# How far potentials may be from the truth, as a geometric mean of factors: a search that ranks candidates by them takes a cause for twice
# as dear as another only where it is dearer. Rules whose cost model is not measured, as that of atomics, are still further off.
FACTOR, FACTOR_OF_ALL = 2.0, 2.5
# Record files that are kept for goldens are no larger than this.
GOLDEN_BYTES = 256 << 10


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, ratios)))


def planted(candidate: pathlib.Path) -> str | None:
    """The cause that a slow candidate was made slow with, as its line `// planted: NAME` says."""
    found = re.search(r"^// planted: (\S+)$", candidate.read_text(), re.MULTILINE)
    return found and found[1]


def clean_ns(report: dict) -> list[float]:
    """Median time of a call of the clean build, by workload."""
    return [workload["times"]["candidate"]["median_ns"] for workload in report["workloads"] if workload.get("times")]


def certificates(report: dict) -> list[dict]:
    return [workload["certificate"] for workload in report["workloads"] if workload.get("certificate")]


def doctor(run: Runner) -> None:
    code, printed, errors = run.kinstr("doctor", timeout=60)
    run.row("doctor", f"exit {code}", "0", code == 0, errors[-300:])
    device = re.search(r"^ok\s+device.*$", printed, re.MULTILINE)
    run.row("doctor names the device", "yes" if device else "no", "yes", bool(device), printed[-600:])
    print("\n".join("       " + line for line in printed.splitlines()), flush=True)


def examples(run: Runner, word: str = "") -> None:
    """Every example, or those with `word` in their path: right, and slow for the planted reason."""
    candidates = [path for path in sorted(EXAMPLES.glob("*/*.mlir")) if word in str(path) and path.stem != "reference"]
    if not candidates:
        sys.exit(f"gpu-test: no section and no example is called {word}")
    reports = {}
    for candidate in candidates:
        name = f"{candidate.parent.name}/{candidate.stem}"
        report = run.evaluate(candidate)
        if report is None:
            continue
        reports[candidate] = report
        cause, primary = planted(candidate), (report.get("primary") or {}).get("name", "none")
        times = " ".join(f"{ns / 1e3:.1f}" for ns in clean_ns(report))
        if cause:
            run.row(f"{name}: first cause", primary, cause, primary == cause, others(report))
        ratios = " ".join(f"{certificate['ratio']:.3f}" for certificate in certificates(report))
        print(f"       {name}: {times} us, probes cost {ratios or '-'}, primary: {primary}", flush=True)
    if run.chosen.reference == "torch":
        torch = [report for report in reports.values() if any("the reference runs on" in note and "torch" in note for note in report["notes"])]
        run.row("examples whose reference ran in PyTorch", f"{len(torch)} of {len(reports)}", "all", len(torch) == len(reports))
    cures(run, reports)
    potentials(run, reports)
    if reports:
        probes(run, reports)


def others(report: dict) -> str:
    """All causes that a report names, for when the first is the wrong one."""
    return ", ".join(f"{found['name']} x{found['potential']['speedup']:.2f}" for found in report["diagnoses"])


def cure_of(candidate: pathlib.Path, reports: dict[pathlib.Path, dict]) -> pathlib.Path | None:
    """The fastest without a planted cause in the folder of a slow example."""
    cured = [other for other in reports if other.parent == candidate.parent and not planted(other) and clean_ns(reports[other])]
    return min(cured, key=lambda other: clean_ns(reports[other])[0], default=None) if planted(candidate) else None


def cures(run: Runner, reports: dict[pathlib.Path, dict]) -> None:
    """A slow example is slower than the fastest of its folder, which no longer has its cause."""
    for candidate, report in reports.items():
        cause, best = planted(candidate), cure_of(candidate, reports)
        if best is None or not clean_ns(report):
            continue
        name = f"{candidate.parent.name}/{candidate.stem}"
        slower = clean_ns(report)[0] / clean_ns(reports[best])[0]
        run.row(f"{name}: time / time of {best.stem}", f"{slower:.2f}", f">= {SLOWER}", slower >= SLOWER)
        left = (reports[best].get("primary") or {}).get("name", "none")
        run.row(f"{name}: cured in {best.stem}", left, f"not {cause}", left != cause)


def potentials(run: Runner, reports: dict[pathlib.Path, dict]) -> None:
    """What a planted cause is said to cost is what the kernel without it is faster by."""
    factors = {}
    for candidate, report in reports.items():
        cause, name = planted(candidate), f"{candidate.parent.name}/{candidate.stem}"
        without = without_cause(run, candidate, reports) if cause and clean_ns(report) else None
        if without is None:
            continue
        found = [row for row in report["diagnoses"] if row["name"] == cause and row["workload"] == 0]
        said = found[0]["potential"]["speedup"] if found else 1.0
        gained = clean_ns(report)[0] / without
        factors[name] = (cause, math.exp(abs(math.log(said / min(gained, MOST_PROMISED)))))
        print(f"       {name}: potential {said:.2f} of {cause}, without it {gained:.2f} times as fast", flush=True)
    for cause, bound in (("uncoalesced-access", FACTOR), (None, FACTOR_OF_ALL)):
        own = {name: factor for name, (of, factor) in factors.items() if cause in (None, of)}
        if not own:
            continue
        mean, worst = geometric_mean(list(own.values())), max(own, key=own.get)
        what = cause or "every planted cause"
        run.row(f"potential of {what} off by, geometric mean", f"{mean:.2f}", f"<= {bound}, worst: {worst}, {own[worst]:.2f}", mean <= bound)


def without_cause(run: Runner, candidate: pathlib.Path, reports: dict[pathlib.Path, dict]) -> float | None:
    """Time of the kernel without the cause of a slow example: of its cure, or of what differs in that alone."""
    alone = WITHOUT.get(f"{candidate.parent.name}/{candidate.stem}")
    if alone is None:
        best = cure_of(candidate, reports)
        return clean_ns(reports[best])[0] if best else None
    if alone in reports:
        return clean_ns(reports[alone])[0]
    report = run.evaluate(alone, "--problem", str(run.problem(candidate)))
    return clean_ns(report)[0] if report else None


def probes(run: Runner, reports: dict[pathlib.Path, dict]) -> None:
    """What the probes cost, over all examples."""
    ratios, different, bare, unwell = {}, [], [], []
    for candidate, report in reports.items():
        name, found = f"{candidate.parent.name}/{candidate.stem}", certificates(report)
        ratios |= {f"{name}, workload {index}": certificate["ratio"] for index, certificate in enumerate(found)}
        different += [name for certificate in found if not certificate["outputs_identical"]]
        bare += [name] * (not found)
        unwell += [name] * any(layer["status"] == "failed" for layer in report["layers"])
    run.row("examples with a certificate", f"{len(reports) - len(bare)} of {len(reports)}", "all", not bare, " ".join(bare))
    run.row("examples of which a layer failed", str(len(unwell)), "0", not unwell, " ".join(unwell))
    if ratios:
        # No kernel is faster for its probes: what is below 1 is the host's doing, or luck, and outweighs nothing.
        mean, worst = geometric_mean([max(1.0, ratio) for ratio in ratios.values()]), max(ratios, key=ratios.get)
        run.row("instrumented / clean, timing probes, geometric mean", f"{mean:.3f}", "<= 1.03", mean <= 1.03)
        run.row("instrumented / clean, timing probes, largest", f"{ratios[worst]:.3f}", f"<= 1.10, {worst}", ratios[worst] <= 1.10)
        run.row("instrumented outputs bit-identical to clean", str(not different), "True", not different, " ".join(different))
    resources(run, reports)


def resources(run: Runner, reports: dict[pathlib.Path, dict]) -> None:
    """Registers and spills that probes add: few, or each diagnosis of the workload says so and is less sure."""
    grown, silent, spilling = {}, [], []
    for candidate, report in reports.items():
        for workload, certificate in certified(report):
            for kernel in certificate.get("kernels", []):
                name = f"{candidate.parent.name}/{candidate.stem} {kernel['clean']['kernel']}, workload {workload}"
                clean, timing = kernel["clean"], kernel["instrumented"]
                grown[name] = timing["registers"] - clean["registers"]
                spills = clean.get("spill_store_bytes") == 0 and bool(timing.get("spill_store_bytes"))
                spilling += [name] * spills
                if grown[name] > 8 or spills:
                    silent += [name] * (not all_say(report, workload, "registers"))
    if not grown:
        run.row("registers that probes add, most", "not told", "<= 8", False)
        return
    worst = max(grown, key=grown.get)
    many = sum(added > 8 for added in grown.values())
    told = f"{len(silent)} silent"
    figure = f"{grown[worst]}, {many} of {len(grown)} above 8"
    run.row("registers that probes add, most", figure, f"<= 8, or every diagnosis says so; {worst}", not silent, " ".join(silent))
    run.row("kernels into which probes bring spills", f"{len(spilling)}, {told}", "0, or as above", not silent, " ".join(spilling))


def certified(report: dict) -> list[tuple[int, dict]]:
    return [(index, workload["certificate"]) for index, workload in enumerate(report["workloads"]) if workload.get("certificate")]


def all_say(report: dict, workload: int, word: str) -> bool:
    """Whether the confidence of each diagnosis of a workload speaks of `word`, and of whatever else halves it."""
    others = ("slow this kernel down", "differ from the clean ones")
    found = [diagnosis["confidence"]["why"] for diagnosis in report["diagnoses"] if diagnosis["workload"] == workload]
    return all(word in why or any(other in why for other in others) for why in found)


def figures(run: Runner) -> None:
    known_lengths(run)
    regions(run)
    gpu_streams.streams(run)
    host_cost(run)
    timelines(run)
    warm(run)


def known_lengths(run: Runner) -> None:
    """Two loops of equal steps, four times as many in the second: their times must have that ratio."""
    report = run.evaluate(KERNELS / "known-lengths/kernel.mlir", "--overhead-budget", "none")
    if report is None:
        return
    timed = (report.get("device") or {}).get("timed", [])
    times = sorted(row["ns_per_entry"] for row in timed if row["kind"] == "loop")
    if len(times) != 2:
        run.row("loops of known lengths that were timed", str(len(times)), "2", False)
        return
    ratio = times[1] / times[0] / 4
    run.row("time of a step in a loop of 16384 / of 4096", f"{ratio:.4f}", "1 +- 0.02", abs(ratio - 1) <= 0.02)


def regions(run: Runner) -> None:
    """Two regions that cover a kernel, one of them full of short regions and loops: what is left of them without the cost of the
    probes is the clean kernel's time. A warp enters each once, and all warps run side by side."""
    candidate = KERNELS / "regions/kernel.mlir"
    report = run.evaluate(candidate, "--overhead-budget", "none")
    if report is None:
        return
    empty = (report.get("device_peaks") or {}).get("launch_ns", 0)
    for kernel in (report.get("device") or {}).get("kernels", []):
        timed = [row for row in report["device"]["timed"] if row["workload"] == kernel["workload"]]
        times = [row["ns_per_entry"] for row in timed if row["name"] in ("in a row", "in short ones")]
        clean = launched_ns(run, candidate, kernel, "clean")
        name = f"sum of the regions of a warp / clean kernel, {kernel['occupancy']['resident'] * kernel['occupancy']['max_warps']:.0f} warps an SM"
        if len(times) != 2 or not clean:
            run.row(name, f"{len(times)} regions timed", "1 +- 0.05", False)
            continue
        ratio = sum(times) / (statistics.median(clean) - empty)
        run.row(name, f"{ratio:.3f}", "1 +- 0.05", abs(ratio - 1) <= 0.05)


def host_cost(run: Runner) -> None:
    """Buffers out, decoding and adding up, for 65,536 warps and two sites."""
    report = run.evaluate(KERNELS / "many-warps/kernel.mlir", "--overhead-budget", "none")
    if report is None:
        return
    costs = [certificate["host_ns"] for certificate in certificates(report) if certificate.get("host_ns") is not None]
    told = f"{max(costs) / 1e6:.2f} ms" if costs else "not told"
    run.row("host cost of an instrumented launch, 65,536 warps", told, "<= 5 ms", bool(costs) and max(costs) <= 5e6)


def timelines(run: Runner) -> None:
    """From the first block's start to the last one's end is the launch's time, as clocks inside and outside of it see it."""
    ratios = {}
    for candidate, report in run.reports.items():
        empty = (report.get("device_peaks") or {}).get("launch_ns", 0)
        for kernel in (report.get("device") or {}).get("kernels", []):
            span, outside = (kernel.get("timeline") or {}).get("span_ns"), launched_ns(run, candidate, kernel, "timing")
            # Events around a launch are apart by what an empty kernel takes, and of a short one that is most of it. How long one
            # is say clean launches: a host that is late between two events, as with a single recorded launch, makes any look long.
            undisturbed = min(launched_ns(run, candidate, kernel, "clean"), default=0)
            if span and outside and undisturbed >= 50e3:
                name = f"{candidate.parent.name}/{candidate.stem} {kernel['kernel']}, workload {kernel['workload']}"
                ratios[name] = span / (statistics.fmean(outside) - empty)
    if not ratios:
        run.row("span of blocks / time of the launch", "not told", "1 +- 0.05", False)
        return
    mean, worst = geometric_mean(list(ratios.values())), max(ratios, key=lambda name: abs(math.log(ratios[name])))
    told = f"1 +- 0.05; furthest: {worst}, {ratios[worst]:.3f}"
    run.row("span of blocks / time of the launch, geometric mean", f"{mean:.3f}", told, abs(mean - 1) <= 0.05)


def launched_ns(run: Runner, candidate: pathlib.Path, kernel: dict, build: str) -> list[float]:
    """Times between the events around the launches of a kernel in a build."""
    events = [event for event in run.events(candidate) if event["event"] == "launched" and event["build"] == build]
    launches = [launch for event in events if event["workload"] == kernel["workload"] for launch in event["activity"]["launches"]]
    return [launch["device_ns"] for launch in launches if launch["kernel"] == kernel["kernel"] and launch.get("device_ns")]


def warm(run: Runner) -> None:
    """An evaluation as a user makes it, with its defaults, against a reference on the GPU in MLIR: importing PyTorch alone takes as
    long as the bound. The first one leaves what makes the others warm: builds of candidate, reference and calibration kernel, and
    peaks. Nothing else is kept from one to the next."""
    softmax = EXAMPLES / "03-softmax/one-pass.mlir"
    times = []
    for _ in range(3):
        begin = time.monotonic()
        if run.evaluate(softmax, defaults=True, reference="mlir") is None:
            return
        times.append(time.monotonic() - begin)
    warm = statistics.median(times[1:])
    run.row("kinstr eval on softmax, warm", f"{warm:.2f} s", "<= 3 s", warm <= 3)


def keep(run: Runner, out: pathlib.Path) -> None:
    """Summary, reports and goldens, in few files, since what comes back from a borrowed machine is limited in number."""
    with tarfile.open(out / "reports.tar.gz", "w:gz") as archive:
        for path in sorted(run.scratch.glob("*/report.json")):
            archive.add(path, f"{path.parent.name}.json")
    with tarfile.open(out / "records.tar.gz", "w:gz") as archive:
        for path in sorted([*run.scratch.glob("*/*.krec"), *run.scratch.glob("*/*.sites.json"), *run.scratch.glob("*/events.jsonl")]):
            if path.stat().st_size <= GOLDEN_BYTES:
                archive.add(path, f"{path.parent.name}/{path.name}")


SECTIONS = {"doctor": doctor, "faults": gpu_faults.faults, "examples": examples, "figures": figures}
# What is run only if it is asked for: these import PyTorch dozens of times.
ALONE = {"python": gpu_python.python, **gpu_python.SECTIONS, "triton": gpu_kernels.kernels}

chosen.out.mkdir(parents=True, exist_ok=True)
with tempfile.TemporaryDirectory(prefix="gpu-test-") as scratch:
    run = Runner(chosen, pathlib.Path(scratch))
    if chosen.only in SECTIONS | ALONE:
        (SECTIONS | ALONE)[chosen.only](run)
    elif chosen.only:
        examples(run, chosen.only)
    else:
        for section in SECTIONS.values():
            section(run)
    keep(run, chosen.out)
    sys.exit(run.finish())
