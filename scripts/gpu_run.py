"""Evaluations and verdict lines for scripts/gpu_test.py, within a time that is given."""

import json
import os
import pathlib
import shutil
import subprocess
import time

# An evaluation that takes longer than this is a failure of its own.
LONGEST = 90
# What a verdict line begins with.
WORDS = {True: "ok", False: "FAIL", None: "none"}


class Runner:
    """Runs kinstr, and keeps what came of it."""

    def __init__(self, chosen, scratch: pathlib.Path) -> None:
        self.chosen, self.scratch = chosen, scratch
        self.begin = time.monotonic()
        self.items: list[dict] = []
        self.reports: dict[pathlib.Path, dict] = {}
        self.folders: dict[pathlib.Path, pathlib.Path] = {}
        self.evaluations = 0

    def row(self, name: str, figure: str, bound: str, holds: bool | None, detail: str = "") -> None:
        """One verdict line; `None` is for what could not be looked at here, which is neither. What explains a failure follows it, and the
        summary is written again, lest it be lost with the machine."""
        self.items.append({"name": name, "figure": figure, "bound": bound, "holds": holds, "detail": detail})
        print(f"{WORDS[holds]:6} {name:64} {figure:>20}   {bound}", flush=True)
        if detail and not holds:
            print("\n".join("         " + line for line in detail.strip().splitlines()), flush=True)
        self.save()

    def save(self) -> None:
        summary = {"seconds": round(self.seconds(), 1), "failed": self.failed(), "items": self.items}
        (self.chosen.out / "gpu-test.json").write_text(json.dumps(summary, indent=1) + "\n")

    def seconds(self) -> float:
        return time.monotonic() - self.begin

    def failed(self) -> int:
        return sum(item["holds"] is False for item in self.items)

    def counts(self) -> str:
        """How many items hold, do not, and could not be looked at."""
        unknown, failed = sum(item["holds"] is None for item in self.items), self.failed()
        more = f", {unknown} not looked at" if unknown else ""
        return f"{len(self.items) - failed - unknown} ok, {failed} failed{more}, in {self.seconds():.0f} s"

    def finish(self) -> int:
        """The last line, and the exit code; the same as a page to keep."""
        provenance = next((report["provenance"] for report in self.reports.values()), {})
        versions = {"kinstr": provenance.get("kinstr", ""), **provenance.get("versions", {})}
        told = ", ".join(f"{name} {version}" for name, version in versions.items())
        page = [f"# GPU tests on {provenance.get('device', 'a device that no report names')}", ""]
        page += [f"Made by `scripts/gpu-test` on {provenance.get('measured_at', 'an unknown day')}; {told}.", ""]
        page += ["| | item | figure | bound |", "|---|---|---|---|"]
        page += [cells(WORDS[item["holds"]], item["name"], item["figure"], item["bound"]) for item in self.items]
        page += ["", self.counts()]
        (self.chosen.out / "gpu-test.md").write_text("\n".join(page) + "\n")
        print(self.counts(), flush=True)
        return int(self.failed() > 0)

    def kinstr(
        self, *arguments: str | pathlib.Path, timeout: float = LONGEST, env: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Exit code, standard output and standard error; 124 where it took too long."""
        left = self.chosen.seconds - self.seconds()
        if left <= 1:
            return 124, "", "not run: no time is left"
        command = [self.chosen.kinstr, *map(str, arguments)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=min(timeout, left), env={**os.environ, **(env or {})}
            )
        except subprocess.TimeoutExpired:
            return 124, "", f"took longer than {min(timeout, left):.0f} s"
        return done.returncode, done.stdout, done.stderr

    def evaluate_any(
        self, candidate: pathlib.Path, *options: str, defaults: bool = False, env: dict | None = None, timeout: float = LONGEST,
        reference: str | None = None,
    ) -> tuple[int, dict | None, str]:
        """Exit code, report if there is one, and standard error."""
        self.evaluations += 1
        out = self.folders[candidate] = self.scratch / f"{self.evaluations:03}-{candidate.parent.name}-{candidate.stem}"
        quick = [] if defaults else ["--budget", self.chosen.budget, "--seeds", "1", "--detail", "full"]
        target = [] if "--target" in options else ["--target", self.chosen.target]
        problem = [] if "--problem" in options else ["--problem", self.problem(candidate, reference)]
        command = ["eval", candidate, *problem, "--format", "json", "--out", out, *target, *quick, *options]
        code, printed, errors = self.kinstr(*command, env=env, timeout=timeout)
        try:
            return code, json.loads(printed), errors
        except ValueError:
            return code, None, errors

    def evaluate(
        self, candidate: pathlib.Path, *options: str, defaults: bool = False, reference: str | None = None
    ) -> dict | None:
        """The report of a candidate that must be right; a row says whether it is."""
        code, report, errors = self.evaluate_any(candidate, *options, defaults=defaults, reference=reference)
        name = f"{candidate.parent.name}/{candidate.stem}"
        detail = errors[-1500:] if report is None else f"{report['verdict_detail']}\n{unwell(report)}"
        correct = code == 0 and report is not None
        self.row(f"{name}: evaluated", f"exit {code}", "0", correct, detail)
        if not correct:
            return None
        for because in unwell(report).splitlines():
            print(f"         {because}", flush=True)
        self.reports[candidate] = report
        return report

    def events(self, candidate: pathlib.Path) -> list[dict]:
        """What happened in the last evaluation of a candidate."""
        log = self.folders[candidate] / "events.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def problem(self, candidate: pathlib.Path, reference: str | None = None) -> pathlib.Path:
        """The problem beside a candidate; with its reference in PyTorch or MLIR, where that is asked for and there is one."""
        folder, kind = candidate.parent, reference or self.chosen.reference
        other = folder / {"numpy": "", "torch": "reference_torch.py", "mlir": "reference.mlir"}[kind]
        if not other.is_file():
            return folder / "problem.toml"
        copy = self.scratch / f"problem-{folder.name}-{kind}"
        copy.mkdir(exist_ok=True)
        shutil.copy(other, copy)
        text = (folder / "problem.toml").read_text()
        text = text.replace('{ file = "reference.py", function = "run" }', f'{{ file = "{other.name}"{function_of(kind)} }}')
        (copy / "problem.toml").write_text(text)
        return copy / "problem.toml"


def function_of(kind: str) -> str:
    """What the problem says of the function of a reference of this kind: a module in MLIR has one."""
    return "" if kind == "mlir" else ', function = "run"'


def cells(*texts: str) -> str:
    """A row of a table in Markdown, where a bar would end a cell."""
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def unwell(report: dict) -> str:
    """Layers that should have run and did not."""
    return "\n".join(f"layer {layer['name']} failed: {layer.get('because')}" for layer in report["layers"] if layer["status"] == "failed")
