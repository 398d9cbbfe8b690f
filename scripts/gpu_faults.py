"""Candidates and surroundings that go wrong, for scripts/gpu_test.py: clear errors, right exit codes, later evaluations unaffected."""

import pathlib
import re

FOLDER = pathlib.Path("tests/gpu")
# What is evaluated after each fault.
SOUND = FOLDER / "right-sum.mlir"

# Candidate, what its report must say, and options besides the usual ones.
CANDIDATES = [
    ("wrong-sum", r"output `c`", []),
    ("writes-input", r"writes to its input `a`", []),
    ("past-the-end", r"writes .*`c`", []),
    ("illegal-address", r"address that is not its memory", []),
    ("empty-grid", r"cannot be launched", []),
    ("wide-block", r"cannot be launched", []),
    ("too-much-shared", r"cannot be launched.*shared", []),
    ("too-much-static-shared", r"shared (memory|data)", []),
    ("too-much-memory", r"no device memory for", []),
    ("endless", r"does not return within", ["--timeout", "3"]),
]

# Surroundings: name, options, environment, exit code, and what the error must say.
SURROUNDINGS = [
    ("a device that is not there", ["--target", "cuda:99"], {}, 3, r"no device 99"),
    ("a target that does not exist", ["--target", "cude:0"], {}, 2, r"there is no target `cude:0`"),
    ("no device to be seen", [], {"CUDA_VISIBLE_DEVICES": ""}, 3, r"no (device|NVIDIA driver)"),
]


def faults(run) -> None:
    """Each fault is told apart, and the sound candidate is judged as before after each of them."""
    code, report, errors = run.evaluate_any(SOUND)
    run.row("faults: sound candidate before", f"exit {code}", "0", code == 0, errors[-1500:])
    for name, said, options in CANDIDATES:
        code, report, errors = run.evaluate_any(FOLDER / f"{name}.mlir", *options, timeout=60)
        told = report["verdict_detail"] if report else errors[-1500:]
        told = " ".join(told.split())
        right = code == 1 and report is not None and re.search(said, told) is not None
        run.row(f"fault {name}", f"exit {code}", f"1, says {said}", right, told)
        print(f"         {told[:200]}", flush=True)
        after(run, name)
    for name, options, env, wanted, said in SURROUNDINGS:
        code, report, errors = run.evaluate_any(SOUND, *options, env=env, timeout=60)
        told = " ".join((errors or (report or {}).get("verdict_detail", "")).split())
        right = code == wanted and re.search(said, told) is not None
        run.row(f"fault: {name}", f"exit {code}", f"{wanted}, says {said}", right, told[-1500:])


def after(run, name: str) -> None:
    code, report, errors = run.evaluate_any(SOUND, timeout=60)
    verdict = report["verdict"] if report else "none"
    sound = code == 0 and verdict == "correct"
    run.row(f"fault {name}: sound candidate after it", f"{verdict}, exit {code}", "correct, exit 0", sound, errors[-1500:])
