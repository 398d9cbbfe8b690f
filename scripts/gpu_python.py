"""Candidates in Python on the GPU, for scripts/gpu_test.py: PyTorch, Triton, torch.compile, load_inline, solutions, and what goes wrong."""

import json
import pathlib
import re
import time

FOLDER = pathlib.Path("tests/gpu/python")
PROBLEM = FOLDER / "softmax.py"
SOLUTIONS = FOLDER / "solution"
SMALL = pathlib.Path("examples/kernelbench/level1/softmax.py")

# Candidates that are right, and what a note of their report must say.
RIGHT = [
    ("identical", r"runs on python"),
    ("compiled", r"runs on python"),
    ("inline", r"runs on python"),
    ("patches", r"replaces .*`torch.softmax`.*defines `get_inputs`"),
    ("lying-clock", r"the longer one counts"),
    ("other-stream", r"runs on python"),
]
# Candidates that are not: exit code, what the report must say, options.
WRONG = [
    ("illegal-address", r"illegal memory access|address space", []),
    ("trapped", r"device-side assert", []),
    ("too-much-memory", r"out of memory", []),
    ("endless", r"does not return within", ["--timeout", "2"]),
    ("wrong-device", r"on the device cpu", []),
    ("falls-back", r"launches none of its Triton kernels", []),
    ("never-launches", r"launches none of its Triton kernels", []),
    ("writes-input", r"writes to its input `x`", []),
    ("keeps-results", r"outputs of timed calls differ|keeps results", []),
]


def python(run) -> None:
    """Everything below."""
    for section in SECTIONS.values():
        section(run)


def environment(run) -> dict[str, str]:
    """A cache of its own, so that cold is cold."""
    return {"XDG_CACHE_HOME": str(run.scratch / "cache")}


def times(run) -> None:
    """Times end to end, cold and warm. Of another size Triton makes another kernel, so that its first evaluation is cold again, but for
    what PyTorch and Triton have read."""
    env = environment(run)
    # Peaks are measured by a sound candidate before.
    run.kinstr("doctor", env=env, timeout=60)
    candidate = FOLDER / "triton-softmax.py"
    large, small = ("", PROBLEM), ("of 128 x 1024, ", SMALL)
    for (of, problem), kind, bound in [(large, "cold", 15.0), (large, "warm", 5.0), (small, "cold", 15.0), (small, "warm", 5.0)]:
        begin = time.monotonic()
        code, report, errors = evaluate(run, candidate, [], env, defaults=True, problem=problem)
        took = time.monotonic() - begin
        run.row(f"python: triton softmax, {of}{kind}", f"{took:.2f} s, exit {code}", f"<= {bound} s", code == 0 and took <= bound, errors[-1500:])
        show(report)


def baseline(run) -> None:
    """What torch.compile makes of the reference."""
    for name in ["cold", "warm"]:
        begin = time.monotonic()
        code, report, errors = evaluate(run, FOLDER / "triton-softmax.py", ["--baseline", "compile"], environment(run), defaults=True)
        compiled = (report or {}).get("speedup_over_compiled")
        run.row(f"python: --baseline compile, {name}", f"{compiled}", "a number", code == 0 and compiled is not None, errors[-1500:])
        print(f"         {time.monotonic() - begin:.2f} s", flush=True)
        show(report)


def right(run) -> None:
    """Candidates that are right."""
    for name, said in RIGHT:
        code, report, errors = evaluate(run, FOLDER / f"{name}.py", [], environment(run))
        notes = " ".join(report["notes"]) if report else errors[-1500:]
        run.row(f"python: {name}", f"exit {code}", f"0, says {said}", code == 0 and re.search(said, notes) is not None, notes)
        if name == "other-stream":
            # It does its work ten times over, where a clock of one stream sees none of it.
            slower = 1 / report["speedup"] if code == 0 and report else 0.0
            run.row(f"python: {name}, time over the reference's", f"{slower:.1f}", ">= 5", slower >= 5)
        show(report)


def kernels(run) -> None:
    """Kernels that a call launches many of, or that choose their configuration in the first call: no call that counts does."""
    for name, bound in [("autotuned", 1.0), ("launched-in-a-loop", 10.0)]:
        code, report, errors = evaluate(run, FOLDER / f"{name}.py", [], environment(run))
        slower = 1 / report["speedup"] if code == 0 and report else float("inf")
        run.row(f"python: {name}, time over the reference's", f"{slower:.2f}", f"<= {bound}", slower <= bound, errors[-1500:])
        show(report)


def solutions(run) -> None:
    """FlashInfer-Bench Solutions for a Definition, one of them wrong, as Traces."""
    for name, exit_code, status in [("triton-softmax", 0, "PASSED"), ("forgets-a-row", 1, "INCORRECT_NUMERICAL")]:
        begin = time.monotonic()
        places = [SOLUTIONS / f"{name}.json", "--problem", SOLUTIONS / "row_softmax.json", "--out", run.scratch / f"solution-{name}"]
        command = ["eval", *places, "--target", run.chosen.target, "--format", "flashinfer-trace"]
        code, printed, errors = run.kinstr(*command, env=environment(run), timeout=100)
        traces = [json.loads(line) for line in printed.splitlines()]
        found = {trace["evaluation"]["status"] for trace in traces}
        run.row(f"python: solution {name}", f"exit {code}, {' '.join(found)}", f"{exit_code}, {status}", code == exit_code and found == {status}, errors[-1500:])
        print(f"         {time.monotonic() - begin:.2f} s", flush=True)
        for trace in traces:
            uuid, evaluation = trace["workload"]["uuid"], trace["evaluation"]
            print(f"         {uuid}: {evaluation.get('performance') or evaluation['log']}", flush=True)
        if status == "PASSED":
            sound = [trace["evaluation"]["performance"]["speedup_factor"] > 0 and trace["evaluation"]["environment"]["hardware"] for trace in traces]
            run.row("python: traces of the workloads", str(len(traces)), "3, each with a speedup", len(traces) == 3 and all(sound))


def wrong(run) -> None:
    """Candidates that are not."""
    for name, said, options in WRONG:
        code, report, errors = evaluate(run, FOLDER / f"{name}.py", options, environment(run))
        told = report["verdict_detail"] if report else errors[-1500:]
        told = " ".join(told.split())
        judged = code == 1 and report is not None and re.search(said, told) is not None
        run.row(f"python: {name}", f"exit {code}", f"1, says {said}", judged, told)
        print(f"         {told[:300]}", flush=True)


SECTIONS = {
    "python-times": times,
    "python-baseline": baseline,
    "python-right": right,
    "python-kernels": kernels,
    "python-solutions": solutions,
    "python-wrong": wrong,
}


def evaluate(run, candidate, options, env, defaults=False, problem=PROBLEM):
    return run.evaluate_any(candidate, *options, "--problem", str(problem), defaults=defaults, env=env, timeout=100)


def show(report) -> None:
    """Times, speedup and how long each stage took."""
    if report is None:
        return
    for workload in report["workloads"]:
        times, speedup = workload.get("times"), workload.get("speedup")
        if times:
            told = [f"{name} {times[name]['median_ns'] / 1e3:.1f} us" for name in ("candidate", "reference", "compiled") if times.get(name)]
            print(f"         {', '.join(told)}; speedup {speedup}", flush=True)
    stages = [f"{stage['name']} {sum(attempt.get('wall_ms') or 0 for attempt in stage['attempts']):.0f} ms" for stage in report["stages"]]
    print(f"         {', '.join(stages)}", flush=True)
    for layer in report["layers"]:
        if layer["status"] != "ran":
            print(f"         {layer['name']} {layer['status']}: {layer.get('because')}", flush=True)
    notes = [note for note in report["notes"] if not note.startswith("rule ")]
    print("\n".join(f"         note: {note}" for note in notes), flush=True)
