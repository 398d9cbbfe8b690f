"""Runs the examples and prints the figures as a table; called by scripts/bench."""

import count
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import time

KINSTR, PASSES, RECORDS = sys.argv[1:4]
# Seconds of measuring per example: enough for intervals near 1 % on a quiet machine.
BUDGET = "6"
failures = 0


def row(name: str, figure: str, bound: str, holds: bool) -> None:
    global failures
    failures += not holds
    print(f"{'holds ' if holds else 'FAILS '} {name:58} {figure:>12}   {bound}", flush=True)


def evaluate(candidate: pathlib.Path, *options: str) -> tuple[dict, float]:
    problem = candidate.parent / "problem.toml"
    with tempfile.TemporaryDirectory() as out:
        command = [KINSTR, "eval", candidate, "--problem", problem, "--format", "json", "--out", out, *options]
        begin = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        took = time.monotonic() - begin
    if done.returncode != 0:
        sys.exit(f"{candidate}: exit code {done.returncode}")
    return json.loads(done.stdout), took


def planted(candidate: pathlib.Path) -> str | None:
    """The cause that a slow candidate was made slow with, as its line `// planted: NAME` says."""
    found = re.search(r"^// planted: (\S+)$", candidate.read_text(), re.MULTILINE)
    return found and found[1]


def examples() -> None:
    logs, sums, identical, causes, named = [], [], True, 0, 0
    candidates = [path for path in pathlib.Path("examples").glob("*/*") if path.suffix in {".mlir", ".c", ".ll"}]
    for candidate in sorted(candidates):
        name, cause = f"{candidate.parent.name}/{candidate.name}", planted(candidate)
        report, _ = evaluate(candidate, "--budget", BUDGET, "--detail", "full")
        certificates = [workload["certificate"] for workload in report["workloads"]]
        ratios = [certificate["ratio"] for certificate in certificates]
        identical &= all(certificate["outputs_identical"] for certificate in certificates)
        logs += [math.log(ratio) for ratio in ratios]
        sums += region_sums(report)
        primary = (report.get("primary") or {}).get("name", "none")
        shown = " ".join(f"{ratio:.3f}" for ratio in ratios)
        wanted = f", planted: {cause}" if cause not in (None, primary) else ""
        print(f"       {name:58} {shown:>12}   primary: {primary}{wanted}", flush=True)
        causes += cause is not None
        named += cause == primary
    mean, most = math.exp(sum(logs) / len(logs)), math.exp(max(logs))
    row("instrumented / clean, timing probes, geometric mean", f"{mean:.3f}", "<= 1.03", mean <= 1.03)
    row("instrumented / clean, timing probes, largest", f"{most:.3f}", "<= 1.10", most <= 1.10)
    covered = math.exp(sum(map(math.log, sums)) / len(sums))
    row("sum of region times / clean time, geometric mean", f"{covered:.3f}", "1 +- 0.02", abs(covered - 1) <= 0.02)
    row("instrumented outputs bit-identical to clean", str(identical), "all", identical)
    row("slow examples whose planted cause is named first", f"{named} of {causes}", "all", named == causes)


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
    many ticks, so means are compared; disturbance only adds, so the least of some evaluations."""
    steps: dict[int, float] = {}
    for _ in range(5):
        report, _ = evaluate(pathlib.Path("benches/spin/kernel.mlir"), "--budget", "1", "--overhead-budget", "none")
        for region in report["regions"]:
            count = int(region["name"].split()[0])
            steps[count] = min(steps.get(count, math.inf), region["ns_per_call"])
    longest = max(steps)
    for count in sorted(steps)[:-1]:
        ratio = steps[count] / count / (steps[longest] / longest)
        row(f"time of a step in a region of {count} / of {longest}", f"{ratio:.4f}", "1 +- 0.01", abs(ratio - 1) <= 0.01)


def passes() -> None:
    lines = re.findall(r"(\S+) (\d+) ops ([\d.]+) ms ([\d.]+) us/op", PASSES)
    for probe in sorted({line[0] for line in lines}):
        sizes = {int(ops): (float(ms), float(us)) for name, ops, ms, us in lines if name == probe}
        small, large = min(sizes), max(sizes)
        ms = sizes[small][0]
        row(f"insert + convert {probe}, {small} ops", f"{ms:.1f} ms", "<= 50 ms", ms <= 50)
        growth = sizes[large][1] / sizes[small][1]
        row(f"time per op at {large} ops / at {small} ops, {probe}", f"{growth:.2f}", "<= 2 (linear)", growth <= 2)


def records() -> None:
    rates = {name: float(rate) for name, rate in re.findall(r"(\S+) \d+ records ([\d.]+) M/s", RECORDS)}
    rate = rates["decode-aggregate"]
    row("records decoded and added up a second, one core", f"{rate:.0f} M", ">= 200 M", rate >= 200)
    rate = rates["perfetto"]
    row("records written for Perfetto a second, one core", f"{rate:.1f} M", ">= 5 M", rate >= 5)
    size, kib = map(int, re.search(r"large-file (\d+) bytes (\d+) kB resident", RECORDS).groups())
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


passes()
records()
commands()
spin()
counts()
examples()
print(f"{failures} figures do not hold" if failures else "all figures hold")
sys.exit(failures > 0)
