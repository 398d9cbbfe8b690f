"""Candidates in Python on the GPU, for scripts/gpu_test.py: PyTorch, Triton, torch.compile, load_inline, and what goes wrong."""

import pathlib
import re
import time

FOLDER = pathlib.Path("tests/gpu/python")
PROBLEM = FOLDER / "softmax.py"
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
    """Times end to end first, cold and warm; then each of the others."""
    # A cache of its own, so that cold is cold; peaks are measured by a sound candidate before.
    cache = run.scratch / "cache"
    env = {"XDG_CACHE_HOME": str(cache)}
    run.kinstr("doctor", env=env, timeout=60)
    candidate = FOLDER / "triton-softmax.py"
    for name, bound in [("cold", 15.0), ("warm", 5.0)]:
        begin = time.monotonic()
        code, report, errors = evaluate(run, candidate, [], env, defaults=True)
        took = time.monotonic() - begin
        run.row(f"python: triton softmax, {name}", f"{took:.2f} s, exit {code}", f"<= {bound} s", code == 0 and took <= bound, errors[-1500:])
        show(report)
    begin = time.monotonic()
    code, report, errors = evaluate(run, candidate, [], env, defaults=True, problem=SMALL)
    took = time.monotonic() - begin
    run.row("python: triton softmax of 128 x 1024, warm", f"{took:.2f} s, exit {code}", "<= 5 s", code == 0 and took <= 5, errors[-1500:])
    show(report)
    for name in ["cold", "warm"]:
        begin = time.monotonic()
        code, report, errors = evaluate(run, candidate, ["--baseline", "compile"], env, defaults=True)
        compiled = (report or {}).get("speedup_over_compiled")
        run.row(f"python: --baseline compile, {name}", f"{compiled}", "a number", code == 0 and compiled is not None, errors[-1500:])
        print(f"         {time.monotonic() - begin:.2f} s", flush=True)
        show(report)
    for name, said in RIGHT:
        code, report, errors = evaluate(run, FOLDER / f"{name}.py", [], env)
        notes = " ".join(report["notes"]) if report else errors[-1500:]
        run.row(f"python: {name}", f"exit {code}", f"0, says {said}", code == 0 and re.search(said, notes) is not None, notes)
        show(report)
    for name, said, options in WRONG:
        code, report, errors = evaluate(run, FOLDER / f"{name}.py", options, env)
        told = report["verdict_detail"] if report else errors[-1500:]
        told = " ".join(told.split())
        right = code == 1 and report is not None and re.search(said, told) is not None
        run.row(f"python: {name}", f"exit {code}", f"1, says {said}", right, told)
        print(f"         {told[:300]}", flush=True)


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
