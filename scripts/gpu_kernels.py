"""Triton kernels seen from within, for scripts/gpu_test.py: what an evaluation says of what limits them, and on which lines."""

import pathlib

from gpu_python import evaluate, show

EXAMPLES = pathlib.Path("examples/triton")
STEPS = pathlib.Path("tests/gpu/python/triton-steps.py")
SOLUTION = pathlib.Path("tests/gpu/python/solution")

# Candidates, and what the report may name first: what limits them.
LIMITS = {
    "01-vector-add/kernel": ["at-roofline", "dram-bandwidth-bound"],
    "02-softmax/kernel": ["at-roofline", "dram-bandwidth-bound"],
    "02-softmax/scoped": ["at-roofline", "dram-bandwidth-bound"],
    "03-matmul/kernel": ["l2-bound", "barrier-stall", "latency-bound", "occupancy-limited"],
    "04-layernorm/kernel": ["at-roofline", "dram-bandwidth-bound"],
    "05-attention/kernel": ["compute-bound"],
}
# Layers that rest on probes.
PROBED = ["kernel-counters", "intra-kernel"]


def kernels(run) -> None:
    """The examples as a user evaluates them, and a candidate of several kernels with PyTorch between them."""
    for name, limits in LIMITS.items():
        candidate = EXAMPLES / f"{name}.py"
        problem = candidate.parent / "problem.py"
        code, report, errors = evaluate(run, candidate, ["--detail", "full"], {}, defaults=True, problem=problem)
        if not looked_into(run, name, code, report, errors):
            continue
        first = (report.get("primary") or {}).get("name", "nothing")
        run.row(f"triton: {name}: first cause", first, " or ".join(limits), first in limits)
        lines = {(line.get("place") or {}).get("file") for line in report["hot_lines"]}
        run.row(f"triton: {name}: hot lines", f"{len(report['hot_lines'])} lines", "of the candidate's file", lines == {str(candidate)}, str(lines))
        if name.endswith("scoped"):
            named = {row["name"] for row in report["device"]["timed"]}
            run.row(f"triton: {name}: regions", ", ".join(sorted(named & {"load", "reduction"})), "load, reduction", {"load", "reduction"} <= named)
        show(report)
    code, report, errors = evaluate(run, SOLUTION / "triton-softmax.json", ["--detail", "full"], {}, defaults=True, problem=SOLUTION / "row_softmax.json")
    if looked_into(run, "solution", code, report, errors):
        recorded = {kernel["workload"] for kernel in report["device"]["kernels"]}
        run.row("triton: solution: workloads with kernels", str(len(recorded)), "3", len(recorded) == 3)
        show(report)
    code, report, errors = evaluate(run, STEPS, ["--detail", "full"], {}, defaults=True)
    if looked_into(run, "triton-steps", code, report, errors):
        found = {kernel["kernel"]: kernel["launches"] for kernel in report["device"]["kernels"]}
        wanted = {"exponents_kernel": 4.0, "sums_kernel": 1.0}
        run.row("triton: triton-steps: launches a call", str(found), str(wanted), found == wanted)
        told = any("which no probe is in: aten." in note for note in report["notes"])
        run.row("triton: triton-steps: PyTorch's own work is named", str(told), "True", told)
        show(report)


def looked_into(run, name, code, report, errors) -> bool:
    """Whether it is right and its kernels ran with probes, changing nothing."""
    ran = {layer["name"]: layer for layer in report["layers"]} if report else {}
    status = {layer: ran.get(layer, {}).get("status") for layer in PROBED}
    holds = code == 0 and all(value == "ran" for value in status.values())
    detail = errors[-1500:] if report is None else f"{report['verdict_detail']}\n{[ran.get(layer) for layer in PROBED]}"
    run.row(f"triton: {name}: looked into", f"exit {code}, {', '.join(map(str, status.values()))}", "0, ran, ran", holds, detail)
    if not holds:
        return False
    certificates = [workload.get("certificate") or {} for workload in report["workloads"]]
    identical = all(certificate.get("outputs_identical") for certificate in certificates)
    ratio = max(certificate.get("ratio", 0) for certificate in certificates)
    odd = [note for note in report["notes"] if "other outputs" in note]
    run.row(f"triton: {name}: outputs", f"identical: {identical}, x {ratio:.3f}", "identical", identical and not odd, "\n".join(odd))
    return True
