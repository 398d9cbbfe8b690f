"""Candidates and surroundings that go wrong, for scripts/gpu_test.py: clear errors, right exit codes, later evaluations unaffected."""

import pathlib
import re

FOLDER = pathlib.Path("tests/gpu")
# What is evaluated after each fault.
SOUND = FOLDER / "right-sum.mlir"

# Candidate, what its report must say, and options besides the usual ones.
CANDIDATES = [
    ("wrong-sum", r"elements? of .*`c`", []),
    ("writes-input", r"input", []),
    ("past-the-end", r"outside|guard|past|around|behind", []),
    ("illegal-address", r"illegal|address", []),
    ("empty-grid", r"grid|configuration|blocks|launch", []),
    ("wide-block", r"threads|configuration|block|launch", []),
    ("too-much-shared", r"shared|configuration|launch", []),
    ("too-much-static-shared", r"shared", []),
    ("too-much-memory", r"memory|allocat", []),
    ("endless", r"longer|time|hung|did not end", ["--timeout", "3"]),
]

# Surroundings: name, options, environment, exit code, and what the error must say.
SURROUNDINGS = [
    ("a device that is not there", ["--target", "cuda:99"], {}, 3, r"cuda:99|device"),
    ("a target that does not exist", ["--target", "cude:0"], {}, 2, r"target"),
    ("no device to be seen", [], {"CUDA_VISIBLE_DEVICES": ""}, 3, r"device|GPU"),
]


def faults(run) -> None:
    """Each fault is told apart, and the sound candidate is judged as before after each of them."""
    code, report, errors = run.evaluate_any(SOUND)
    run.row("faults: sound candidate before", f"exit {code}", "0", code == 0, errors[-1500:])
    for name, said, options in CANDIDATES:
        code, report, errors = run.evaluate_any(FOLDER / f"{name}.mlir", *options, timeout=60)
        told = report["verdict_detail"] if report else errors[-1500:]
        right = code == 1 and report is not None and re.search(said, told, re.IGNORECASE) is not None
        run.row(f"fault {name}", f"exit {code}", f"1, says {said}", right, told)
        print(f"         {' '.join(told.split())[:200]}", flush=True)
        after(run, name)
    for name, options, env, wanted, said in SURROUNDINGS:
        code, report, errors = run.evaluate_any(SOUND, *options, env=env, timeout=60)
        told = errors or (report or {}).get("verdict_detail", "")
        right = code == wanted and re.search(said, told, re.IGNORECASE) is not None
        run.row(f"fault: {name}", f"exit {code}", f"{wanted}, says {said}", right, told[-1500:])


def after(run, name: str) -> None:
    code, report, errors = run.evaluate_any(SOUND, timeout=60)
    verdict = report["verdict"] if report else "none"
    sound = code == 0 and verdict == "correct"
    run.row(f"fault {name}: sound candidate after it", f"{verdict}, exit {code}", "correct, exit 0", sound, errors[-1500:])
