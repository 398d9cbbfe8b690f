"""The figures, as a table; called by scripts/bench. `--only` picks one section, or the examples whose path contains a word."""

import argparse
import count
import json
import math
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
parser.add_argument("--only", metavar="NAME", help="passes, records, commands, spin, counts, test, examples, or a part of an example's path")
parser.add_argument("--budget", default="2", metavar="SECONDS", help="measuring time for each example (default: 2)")
parser.add_argument("--kinstr", default="target/release/kinstr", help=argparse.SUPPRESS)
chosen = parser.parse_args()
KINSTR, BUDGET = chosen.kinstr, chosen.budget
failures = 0
# Evaluations of the regions of known length; their median counts.
EVALUATIONS = 9


def row(name: str, figure: str, bound: str, holds: bool) -> None:
    global failures
    failures += not holds
    print(f"{'holds ' if holds else 'FAILS '} {name:58} {figure:>12}   {bound}", flush=True)


def evaluate(candidate: pathlib.Path, *options: str) -> tuple[dict, float]:
    with tempfile.TemporaryDirectory() as out:
        begin = time.monotonic()
        report = evaluate_into(out, candidate, *options)
        return report, time.monotonic() - begin


def evaluate_into(out: str, candidate: pathlib.Path, *options: str) -> dict:
    problem = candidate.parent / "problem.toml"
    command = [KINSTR, "eval", candidate, "--problem", problem, "--format", "json", "--out", out, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"{candidate}: exit code {done.returncode}")
    return json.loads(done.stdout)


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, ratios)))


def planted(candidate: pathlib.Path) -> str | None:
    """The cause that a slow candidate was made slow with, as its line `// planted: NAME` says."""
    found = re.search(r"^// planted: (\S+)$", candidate.read_text(), re.MULTILINE)
    return found and found[1]


def examples(word: str = "") -> None:
    """Every example, or those with `word` in their path; a row over all of them for each figure."""
    candidates = [path for path in pathlib.Path("examples").glob("*/*") if path.suffix in {".mlir", ".c", ".ll"}]
    candidates = sorted(path for path in candidates if word in str(path))
    if not candidates:
        sys.exit(f"no section and no example is called {word}")
    timed, counted, sums, different, causes, unnamed = {}, {}, [], [], 0, []
    print(f"       {'':58} {'timing':>12} {'counting':>9}", flush=True)
    for candidate in candidates:
        name, cause = f"{candidate.parent.name}/{candidate.name}", planted(candidate)
        with tempfile.TemporaryDirectory() as out:
            report = evaluate_into(out, candidate, "--budget", BUDGET, "--detail", "full")
            counted[name] = count.slowdown(candidate, pathlib.Path(out))
        certificates = [workload.get("certificate") for workload in report["workloads"]]
        certificates = [certificate for certificate in certificates if certificate]
        ratios = [certificate["ratio"] for certificate in certificates]
        timed |= {f"{name}, workload {index}": ratio for index, ratio in enumerate(ratios)}
        different += [name for certificate in certificates if not certificate["outputs_identical"]]
        sums += region_sums(report)
        primary = (report.get("primary") or {}).get("name", "none")
        causes += cause is not None
        unnamed += [name] * (cause not in (None, primary))
        shown = " ".join(f"{ratio:.3f}" for ratio in ratios) or "no site fits"
        wanted = f", planted: {cause}" if cause not in (None, primary) else ""
        print(f"       {name:58} {shown:>12} {counted[name]:>9.2f}   primary: {primary}{wanted}", flush=True)
    slowdowns(timed, counted)
    if sums:
        covered = geometric_mean(sums)
        row("sum of region times / clean time, geometric mean", f"{covered:.3f}", "1 +- 0.02", abs(covered - 1) <= 0.02)
    row("instrumented outputs bit-identical to clean", str(not different), f"all {' '.join(different)}", not different)
    named = f"{causes - len(unnamed)} of {causes}"
    row("slow examples whose planted cause is named first", named, f"all {' '.join(unnamed)}", not unnamed)


def slowdowns(timed: dict[str, float], counted: dict[str, float]) -> None:
    """What probes cost; a slowdown is kept by the name of what it is of."""
    if timed:
        mean, worst = geometric_mean(list(timed.values())), max(timed, key=timed.get)
        row("instrumented / clean, timing probes, geometric mean", f"{mean:.3f}", "<= 1.03", mean <= 1.03)
        most = timed[worst]
        row("instrumented / clean, timing probes, largest", f"{most:.3f}", f"<= 1.10, {worst}", most <= 1.10)
    mean = geometric_mean(list(counted.values()))
    row("instrumented / clean, counting probes, geometric mean", f"{mean:.3f}", "<= 1.50", mean <= 1.50)


def region_sums(report: dict) -> list[float]:
    """Time of all regions over the clean time measured beside it, by workload."""
    sums = []
    for workload in report["workloads"]:
        regions = [region for region in report["regions"] if region["workload"] == workload["index"]]
        if regions:
            launch = sum(region["ns_self"] / region["launches"] for region in regions)
            sums.append(launch / workload["certificate"]["clean_ns"])
    return sums


def spin() -> None:
    """Regions of known length: the time of a step must not depend on how many there are. The clock goes on in steps of
    many ticks, so means are compared, of some evaluations: a machine's clock rate wanders while probes are calibrated."""
    ratios: dict[int, list[float]] = {}
    for _ in range(EVALUATIONS):
        report, _ = evaluate(pathlib.Path("benches/spin/kernel.mlir"), "--budget", "1", "--overhead-budget", "none")
        found = [(re.fullmatch(r"(\d+) steps", region["name"]), region["ns_per_call"]) for region in report["regions"]]
        steps = {int(name[1]): ns / int(name[1]) for name, ns in found if name}
        for count, step in steps.items():
            ratios.setdefault(count, []).append(step / steps[max(steps)])
    for count in sorted(ratios)[:-1]:
        ratio = statistics.median(ratios[count])
        row(f"time of a step in a region of {count} / of {max(ratios)}", f"{ratio:.4f}", "1 +- 0.01", abs(ratio - 1) <= 0.01)


def bench(*arguments: str) -> str:
    command = ["cargo", "bench", "--locked", "--quiet", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def passes() -> None:
    lines = re.findall(r"(\S+) (\d+) ops ([\d.]+) ms ([\d.]+) us/op", bench("--bench", "passes"))
    for probe in sorted({line[0] for line in lines}):
        sizes = {int(ops): (float(ms), float(us)) for name, ops, ms, us in lines if name == probe}
        small, large = min(sizes), max(sizes)
        ms = sizes[small][0]
        row(f"insert + convert {probe}, {small} ops", f"{ms:.1f} ms", "<= 50 ms", ms <= 50)
        growth = sizes[large][1] / sizes[small][1]
        row(f"time per op at {large} ops / at {small} ops, {probe}", f"{growth:.2f}", "<= 2 (linear)", growth <= 2)


def records() -> None:
    printed = bench("-p", "kinstr-trace", "--bench", "records")
    rates = {name: float(rate) for name, rate in re.findall(r"(\S+) \d+ records ([\d.]+) M/s", printed)}
    rate = rates["decode-aggregate"]
    row("records decoded and added up a second, one core", f"{rate:.0f} M", ">= 200 M", rate >= 200)
    rate = rates["perfetto"]
    row("records written for Perfetto a second, one core", f"{rate:.1f} M", ">= 5 M", rate >= 5)
    warps, ms = re.search(r"warps-aggregate (\d+) warps ([\d.]+) ms", printed).groups()
    row(f"records of {int(warps):,} warps and two sites added up, one core", f"{ms} ms", "<= 3 ms", float(ms) <= 3)
    size, kib = map(int, re.search(r"large-file (\d+) bytes (\d+) kB resident", printed).groups())
    name = f"memory to read a record file of {size / 2**30:.0f} GiB"
    row(name, f"{kib / 1024:.1f} MiB", "<= 256 MiB", kib <= 256 << 10)


def commands() -> None:
    softmax = pathlib.Path("examples/01-softmax/three-pass.mlir")
    evaluate(softmax)
    took = min(evaluate(softmax)[1] for _ in range(3))
    row("kinstr eval on softmax, peaks cached", f"{took:.2f} s", "<= 3 s", took <= 3)
    times = []
    for _ in range(10):
        begin = time.monotonic()
        subprocess.run([KINSTR, "--version"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.monotonic() - begin)
    best = sorted(times)[len(times) // 2] * 1e3
    row("kinstr --version, median", f"{best:.0f} ms", "<= 40 ms", best <= 40)


def counts() -> None:
    worst, where = 0.0, ""
    for kernel in count.KERNELS:
        kinstr, machine = count.count(KINSTR, kernel)
        for kind, ours, theirs in zip(("loads", "stores", "flops"), kinstr, machine, strict=True):
            difference = abs(ours - theirs) / max(theirs, 1)
            if difference >= worst:
                worst, where = difference, f"{kernel}, {kind}"
    name = f"block-count against a count of machine instructions, {len(count.KERNELS)} kernels"
    row(name, f"{worst:.3%}", f"<= 0.1 %, worst: {where}", worst <= 0.001)


def test() -> None:
    begin = time.monotonic()
    passed = subprocess.run(["scripts/test"], stdout=subprocess.DEVNULL, check=False).returncode == 0
    took = (time.monotonic() - begin) / 60
    row("scripts/test, everything cached", f"{took:.1f} min", "<= 5 min, all pass", passed and took <= 5)


# Run one after another; the tests take as long as all of these, and only by name.
SECTIONS = [passes, records, commands, spin, counts, examples]
by_name = {section.__name__: section for section in [*SECTIONS, test]}
if chosen.only in by_name:
    by_name[chosen.only]()
elif chosen.only:
    examples(chosen.only)
else:
    for section in SECTIONS:
        section()
    print("not run: scripts/test, whose time `scripts/bench --only test` takes")
print(f"{failures} figures do not hold" if failures else "all figures hold")
sys.exit(failures > 0)
