"""What the host answers when it cannot do what was asked."""

from __future__ import annotations

import traceback
from typing import Any, Dict, Optional


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


def from_exception(error: BaseException, path: str, doing: str) -> Refusal:
    """The refusal for whatever the user's file at `path` raised while `doing` something."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        return Refusal(
            "missing-module",
            f"the reference needs the Python module `{error.name}`, which is not installed",
            "scripts/setup installs NumPy; scripts/setup --torch installs PyTorch too",
            module=error.name,
            **_place(error, path),
        )
    name = type(error).__name__
    text = str(error).strip()
    return Refusal(
        "raised",
        f"the reference raised {name} while {doing}" + (f": {text}" if text else ""),
        exception=name,
        **_place(error, path),
    )


def _place(error: BaseException, path: str) -> Dict[str, Any]:
    """The last line of the user's file that led to the error; frames of the host would tell the user nothing."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return {"file": path, "line": error.lineno}
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if frame.filename == path]
    return {"file": path, "line": mine[-1].lineno} if mine else {}
