"""Bytecode of PyTorch and Triton, where these were installed without.

Compiling two thousand files takes more than half of the time of importing PyTorch, and a confined process could not keep what came of
it. Only the host of a reference writes there, before it runs the user's file, and then gives up the right to: what a candidate
could write would run in processes that are not confined yet.
"""

from __future__ import annotations

import compileall
import importlib.util
import os
import sys
from contextlib import contextmanager
from typing import Iterator, Optional

#: The variable that names the place.
PLACE = "KINSTR_BYTECODE"


def _is_installed(package: str) -> bool:
    """Whether it was installed with bytecode, or is not installed at all."""
    spec = importlib.util.find_spec(package)
    return spec is None or spec.cached is None or os.path.exists(spec.cached)


def look_up() -> None:
    """Has imports from now on find the bytecode that is kept, if PyTorch came without."""
    place = os.environ.get(PLACE)
    if place and not _is_installed("torch"):
        sys.pycache_prefix = place


@contextmanager
def kept() -> Iterator[None]:
    """Keeps what is compiled meanwhile, whatever the environment says of the installation's own folders."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, sys.pycache_prefix is None
    try:
        yield
        if sys.pycache_prefix is not None:
            _complete()
    finally:
        sys.dont_write_bytecode = before


def _complete() -> None:
    """Compiles what candidates import besides."""
    spec: Optional[importlib.machinery.ModuleSpec] = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None or spec.cached is None or os.path.exists(spec.cached):
        return
    compileall.compile_dir(os.path.dirname(spec.origin), quiet=2)
