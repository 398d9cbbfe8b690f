"""Whether a candidate makes use of the reference it is compared with."""

from __future__ import annotations

import ast
import os
import sys
from typing import Any, Dict, List, Optional, Tuple

from .refusal import is_own


class Watch:
    """Sees every file that Python opens from now on, and lets nobody open the problem's.

    A hook of this kind cannot be taken off again. What it raises a candidate may catch, so it also keeps what it saw.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        #: Name under which the problem's file was opened.
        self.seen: Optional[str] = None
        self._frames: Tuple[Tuple[str, int], ...] = ()
        self._identity = _identity(problem)
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: Tuple[Any, ...]) -> None:
        if event != "open" or isinstance(arguments[0], int):
            return
        if self._identity is None or _identity(arguments[0]) != self._identity:
            return
        if self.seen is None:
            self.seen, self._frames = os.fsdecode(arguments[0]), _frames()
        raise PermissionError(f"{self.seen} is the problem's, and not for candidates")

    def place(self, path: str) -> Dict[str, Any]:
        """The line of the file or folder `path` that opened it, if one did."""
        own = [{"file": file, "line": line} for file, line in self._frames if is_own(file, path)]
        return own[0] if own else {}


class Patches:
    """What of PyTorch's own is another object than it was. Nothing rests on it here, since outputs are judged elsewhere."""

    def __init__(self, torch: Any) -> None:
        functional, tensor = torch.nn.functional, torch.Tensor
        owners = {"torch": torch, "torch.cuda": torch.cuda, "torch.nn.functional": functional, "torch.Tensor": tensor}
        self._owners = owners
        self._before = {name: dict(vars(owner)) for name, owner in owners.items()}

    def found(self) -> List[str]:
        """Their names."""
        return [
            f"{owner}.{name}"
            for owner, before in self._before.items()
            for name, value in before.items()
            if callable(value) and vars(self._owners[owner]).get(name) is not value
        ]


def _identity(path: Any) -> Optional[Tuple[int, int]]:
    """What a file is known by, whatever leads to it."""
    try:
        status = os.stat(path)
    except (OSError, TypeError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _frames() -> Tuple[Tuple[str, int], ...]:
    """Files and lines of the calls in progress, innermost first."""
    found = []
    frame: Any = sys._getframe(2)
    while frame is not None:
        found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


def repeated(candidate: str, problem: str) -> Optional[int]:
    """Line of the candidate's function that is `Model.forward` of the problem word for word, comments aside."""
    wanted = _forward(_parsed(problem))
    if wanted is None:
        return None
    for node in ast.walk(_parsed(candidate)):
        if isinstance(node, ast.FunctionDef) and _body(node) == wanted:
            return node.lineno
    return None


def _parsed(path: str) -> ast.AST:
    try:
        with open(path, encoding="utf-8") as file:
            return ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        # Who imports the file says what is wrong with it.
        return ast.Module(body=[], type_ignores=[])


def _forward(tree: ast.AST) -> Optional[str]:
    models = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Model"]
    functions = [node for model in models for node in model.body if isinstance(node, ast.FunctionDef)]
    return next((_body(function) for function in functions if function.name == "forward"), None)


def _body(function: ast.FunctionDef) -> str:
    """Without its docstring, annotations and name."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    names = [argument.arg for argument in function.args.args]
    return repr(names) + "".join(ast.dump(statement) for statement in statements)
