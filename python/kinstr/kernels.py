"""Which Triton kernels a candidate holds, and which of them it launches."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Dict, List, Set

from .refusal import CANDIDATE, Refusal, is_own


class Kernels:
    """The kernels that stand in the modules. Each first launch is seen; later ones cost nothing more.

    Functions that only other kernels call count as kernels too, so that what is asked is whether any was launched.
    """

    def __init__(self, *modules: ModuleType) -> None:
        self.interpreted = False
        self._launched: Set[str] = set()
        self._found: Dict[str, Any] = {}
        jit = sys.modules.get("triton.runtime.jit")
        if jit is None:
            return
        for name, value in [item for module in modules for item in vars(module).items()]:
            if isinstance(value, jit.KernelInterface):
                self._found[name] = value
                if type(_innermost(value, jit.KernelInterface)).__name__ == "InterpretedFunction":
                    self.interpreted = True
                    _settle(value)
        self.expect()

    def expect(self) -> None:
        """From now on, what was launched before does not count."""
        self._launched.clear()
        for name, value in self._found.items():
            self._see(name, _innermost(value, sys.modules["triton.runtime.jit"].KernelInterface))

    def _see(self, name: str, kernel: Any) -> None:
        # Of a kernel that was not launched, the hook is still there.
        vars(kernel).pop("run", None)
        run = kernel.run

        def first(*arguments: Any, **options: Any) -> Any:
            result = run(*arguments, **options)
            if not options.get("warmup"):
                self._launched.add(name)
                vars(kernel).pop("run", None)
            return result

        # On the object, in front of its class's: launching looks it up each time.
        kernel.run = first

    def names(self) -> List[str]:
        """All that were found."""
        return sorted(self._found)

    def traced(self) -> bool:
        """Whether `torch.compile` made code of any function: it launches copies of kernels."""
        dynamo = sys.modules.get("torch._dynamo.utils")
        return dynamo is not None and dynamo.counters["frames"]["ok"] > 0

    def refuse_idle(self, path: str) -> None:
        """Refuses a candidate that has been called and left every one of its kernels alone."""
        if not self._found or self._launched or self.traced():
            return
        names = ", ".join(f"`{name}`" for name in self.names())
        code = getattr(getattr(_innermost(next(iter(self._found.values()))), "fn", None), "__code__", None)
        place = {"file": code.co_filename, "line": code.co_firstlineno} if code is not None and is_own(code.co_filename, path) else {}
        raise Refusal(
            "no-kernel-launched",
            f"{CANDIDATE} launches none of its Triton kernels: {names}",
            "what they should compute comes from somewhere else: launch them in forward, without a way around them",
            **place,
        )


def know_triton() -> None:
    """Has Triton find out which Triton it is, which it needs to look for a compiled kernel: it reads 400 MB of itself once a process."""
    key = getattr(sys.modules.get("triton.runtime.cache"), "triton_key", None)
    if key is not None:
        key()


def _settle(value: Any) -> None:
    """Leaves an autotuner its first configuration: there is no GPU on which it could time them."""
    while type(value).__name__ in ("Autotuner", "Heuristics"):
        if type(value).__name__ == "Autotuner":
            del value.configs[1:]
        value = value.fn


def _innermost(value: Any, kind: Any = object) -> Any:
    """The kernel itself, behind autotuners and heuristics."""
    while type(value).__name__ in ("Autotuner", "Heuristics") and isinstance(value.fn, kind):
        value = value.fn
    return value
