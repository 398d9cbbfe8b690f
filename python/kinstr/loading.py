"""Finding out what a reference file is, and importing it."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, Callable, List, Optional, Set

from .refusal import REFERENCE, Refusal, from_exception, is_own

NUMPY = "numpy"
PYTORCH = "pytorch"
KERNELBENCH = "kernelbench"

#: What makes a file a KernelBench problem.
KERNELBENCH_NAMES = ("Model", "get_inputs", "get_init_inputs")


def kind_of(path: str) -> str:
    """`kernelbench`, `pytorch` or `numpy`, by what the file defines and imports; the file is not run."""
    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read(), filename=path)
    except OSError as error:
        raise Refusal("unreadable", f"cannot read {path}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise from_exception(error, path, "being parsed") from error
    if set(KERNELBENCH_NAMES) <= _defined(tree):
        return KERNELBENCH
    return PYTORCH if "torch" in _imported(tree) else NUMPY


def _defined(tree: ast.Module) -> Set[str]:
    definitions = (ast.ClassDef, ast.FunctionDef)
    return {node.name for node in tree.body if isinstance(node, definitions)}


def _imported(tree: ast.Module) -> Set[str]:
    """Packages imported anywhere in the file."""
    names: Set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def import_reference(path: str) -> ModuleType:
    """Runs the user's file; files beside it can be imported from it."""
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return import_file(path, "kinstr_reference", REFERENCE)


def import_file(path: str, name: str, who: str, own: Optional[str] = None) -> ModuleType:
    """Runs the user's file as the module `name`. Errors are placed in it, or in the files of the folder `own`."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Refusal("unreadable", f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        raise from_exception(error, own or path, "being imported", who) from error
    return module


def import_from(folder: str, path: str, who: str) -> ModuleType:
    """Runs a file of the package `folder`. It may import the others, from the package (`from .other`) and by their names alone,
    unless something that is installed has that name: a `json.py` is not what `import json` means to other packages."""
    sys.path += [os.path.dirname(folder), folder]
    inside = os.path.relpath(os.path.splitext(path)[0], os.path.dirname(folder))
    return import_file(path, inside.replace(os.sep, "."), who, folder)


def modules_in(own: str) -> List[ModuleType]:
    """What was imported of the file `own`, or from the folder `own`."""
    return [module for module in list(sys.modules.values()) if is_own(getattr(module, "__file__", None), own)]


def function_of(module: ModuleType, name: str, path: str, who: str = REFERENCE) -> Callable[..., Any]:
    """The function of that name, which the file has to define."""
    function = getattr(module, name, None)
    if callable(function):
        return function
    own = [n for n, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    raise Refusal(
        "no-function",
        f"{who} has no function `{name}`",
        "it defines " + ", ".join(f"`{n}`" for n in sorted(own)) if own else "it defines no function at all",
        file=path,
    )
