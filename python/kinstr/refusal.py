"""What the host answers when it cannot do what was asked."""

from __future__ import annotations

import os
import traceback
from typing import Any, Dict, Optional

from .faults import device_fault


class Refusal(Exception):
    """A reply of its own kind; `details` travel with it, such as `file` and `line`."""

    def __init__(self, kind: str, message: str, hint: Optional[str] = None, **details: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.details = details

    def reply(self) -> Dict[str, Any]:
        """The `error` of a reply."""
        error: Dict[str, Any] = {"kind": self.kind, "message": self.message}
        if self.hint is not None:
            error["hint"] = self.hint
        error.update(self.details)
        return error


#: Whose file a host runs, as its sentences begin.
REFERENCE = "the reference"
CANDIDATE = "the candidate"


def from_exception(error: BaseException, path: str, doing: str, who: str = REFERENCE) -> Refusal:
    """The refusal for whatever the user's file at `path` raised while `doing` something."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        return Refusal(
            "missing-module",
            f"{who} needs the Python module `{error.name}`, which is not installed",
            _MODULES[who],
            module=error.name,
            **_place(error, path),
        )
    if who == CANDIDATE and isinstance(error, SystemExit):
        return Refusal("called-exit", f"{who} calls exit({error.code!r}) while {doing}", _RETURN, **_place(error, path))
    name = type(error).__name__
    text = str(error).strip()
    fault = device_fault(error)
    if fault is not None:
        kind, words, advice = fault
        return Refusal(kind, f"{who} raised {name} while {doing}: {words}", advice, exception=name, **_place(error, path))
    return Refusal(
        "memory-limit" if who == CANDIDATE and _is_out_of_memory(error) else "raised",
        f"{who} raised {name} while {doing}" + (f": {text}" if text else ""),
        _advice(error, text) if who == CANDIDATE else None,
        exception=name,
        **_place(error, path),
    )


_MODULES = {
    REFERENCE: "scripts/setup installs NumPy; scripts/setup --torch installs PyTorch too",
    CANDIDATE: "a candidate may import what is installed beside PyTorch, and the other sources of its solution; nothing that lies beside it",
}
_RETURN = "return from forward instead"
_ROOM = "it ran out of the memory that --memory allows"
_ALONE = (
    "a candidate opens no socket, signals no process and writes in its working directory alone; on the CPU it starts no "
    "process either, so that `torch.compile`, which runs a compiler, is for GPUs"
)
_NO_GPU = "the target `cpu` has no GPU: --target cuda:0 has one"


def _advice(error: BaseException, text: str) -> Optional[str]:
    """What to do about something that a candidate raised, where that is known."""
    if _is_out_of_memory(error):
        return _ROOM
    if isinstance(error, PermissionError) or "Operation not permitted" in text:
        return _ALONE
    return _NO_GPU if "active drivers" in text else None


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed; PyTorch's allocator says so in words alone."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def _place(error: BaseException, path: str) -> Dict[str, Any]:
    """The last line of the user's file, or of a file in the user's folder, that led to the error; frames of the host would tell the user nothing."""
    if isinstance(error, SyntaxError) and is_own(error.filename, path):
        return {"file": error.filename, "line": error.lineno}
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if is_own(frame.filename, path)]
    return {"file": mine[-1].filename, "line": mine[-1].lineno} if mine else {}


def is_own(file: Optional[str], path: str) -> bool:
    """Whether `file` is the user's file `path`, or lies in the folder `path`."""
    return file is not None and (file == path or file.startswith(path + os.sep))
