"""The process that compiles a file's Triton kernels, with neither a GPU nor a launch: `python -m kinstr.triton_compiler`.

Requests and replies are as `kinstr.host` has them.

| op | fields | does |
|---|---|---|
| `load` | `path`, `chip` | imports the file, to compile for that chip |
| `compile` | `kernel`, `markers` | Triton's own stages up to optimised LLVM IR: answers `llvm_ir` |
| `finish` | `kernel` (its name), `llvm_ir` | Triton's own next stage on that: answers `ptx` |

With `markers`, a scope of `triton.profiler.language` becomes inline assembly of nothing but a comment at both of its borders.
A kernel is `{name, arguments, options, line}`; an argument `{typed: {type, divisible}}` or `{constant: VALUE}`.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import loading
from .host import Answering, main
from .refusal import CANDIDATE, Refusal, from_exception
from .triton_stages import compile_to_llvm_ir


class TritonCompiler(Answering):
    """The kernels of one file."""

    def __init__(self) -> None:
        self.path = ""
        self.chip = ""
        self.module: Optional[ModuleType] = None
        #: By name: the stage that makes PTX, and what Triton knows of the kernel.
        self.stages: Dict[str, Tuple[Callable[..., str], Any]] = {}

    def load(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Imports the file."""
        # Nothing is kept: what a cache would hold is of clean kernels, or of instrumented ones.
        os.environ["TRITON_CACHE_DIR"] = os.path.join(os.getcwd(), "triton")
        self.path, self.chip = request["path"], request["chip"]
        try:
            import triton
        except ModuleNotFoundError as error:
            raise from_exception(error, self.path, "being loaded", CANDIDATE) from error
        self.module = loading.import_file(self.path, "kinstr_candidate", CANDIDATE)
        return {"versions": [f"triton {triton.__version__}"]}

    def compile(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Compiles a kernel as far as LLVM IR."""
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        kernel = request["kernel"]
        function = self._function(kernel)
        signature, constants, attributes = self._specialised(function, kernel)
        source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=attributes)
        target = GPUTarget("cuda", int(self.chip.removeprefix("sm_").rstrip("af")), 32)
        try:
            compiled = compile_to_llvm_ir(source, target, kernel["options"], bool(request.get("markers")))
        except BaseException as error:
            raise self._refusal(error, function, "being compiled") from error
        self.stages[kernel["name"]] = compiled.finish
        return {"llvm_ir": compiled.llvm_ir}

    def finish(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Makes PTX of LLVM IR."""
        if request["kernel"] not in self.stages:
            raise Refusal("protocol", "`finish` before `compile`")
        make_ptx, metadata = self.stages[request["kernel"]]
        try:
            return {"ptx": make_ptx(request["llvm_ir"], metadata)}
        except BaseException as error:
            raise from_exception(error, self.path, "being turned into PTX", CANDIDATE) from error

    def _function(self, kernel: Dict[str, Any]) -> Any:
        """The kernel as `triton.jit` made it, without what decorators put around."""
        from triton.runtime.jit import JITFunction

        def unwrapped(value: Any) -> Any:
            while not isinstance(value, JITFunction) and hasattr(value, "fn"):
                value = value.fn
            return value

        found = unwrapped(getattr(self.module, kernel["name"], None))
        if isinstance(found, JITFunction):
            return found
        values = vars(self.module).items() if self.module else ()
        names = [name for name, value in values if isinstance(unwrapped(value), JITFunction)]
        raise Refusal(
            "no-kernel",
            f"{CANDIDATE} has no Triton kernel `{kernel['name']}`",
            "it has " + ", ".join(f"`{name}`" for name in names) if names else "it has none at all",
            file=self.path,
            line=kernel["line"],
        )

    def _specialised(self, function: Any, kernel: Dict[str, Any]) -> Tuple[Any, Any, Any]:
        """Signature, constants and attributes as Triton takes them."""
        arguments, names = kernel["arguments"], function.arg_names
        if len(arguments) != len(names):
            raise Refusal(
                "wrong-arguments",
                f"{CANDIDATE}'s kernel `{kernel['name']}` takes {len(names)} arguments, and the line has {len(arguments)}",
                "they are " + ", ".join(names),
                file=self.path,
                line=kernel["line"],
            )
        signature: Dict[str, str] = {}
        constants: Dict[str, Any] = {}
        attributes: Dict[Tuple[int, ...], List[List[Any]]] = {}
        for index, (parameter, argument) in enumerate(zip(function.params, arguments)):
            typed = argument.get("typed")
            if typed is not None and not parameter.is_constexpr:
                signature[parameter.name] = typed["type"]
                if typed["divisible"]:
                    attributes[(index,)] = [["tt.divisibility", 16]]
                continue
            signature[parameter.name] = "constexpr"
            # A type where a constant is wanted is one itself.
            constants[parameter.name] = argument["constant"] if typed is None else _dtype(typed["type"])
        return signature, constants, attributes

    def _refusal(self, error: BaseException, function: Any, doing: str) -> Refusal:
        """What Triton said, at the line of the file."""
        from triton.compiler.errors import CompilationError

        refusal = from_exception(error, self.path, doing, CANDIDATE)
        inner: Optional[BaseException] = error
        while inner is not None:
            if isinstance(inner, CompilationError) and getattr(inner, "node", None) is not None:
                first = self._first_line(inner.src, function)
                # An error within a function of Triton's own is shown where the file calls it.
                if first is not None:
                    refusal.details.update(file=self.path, line=first + inner.node.lineno - 1)
            inner = inner.__cause__
        return refusal

    def _first_line(self, source: Any, kernel: Any) -> Optional[int]:
        """Where the file's function with that source begins."""
        values = list(vars(self.module).values()) if self.module else []
        for function in [kernel, *values]:
            if getattr(function, "src", None) == source and function.fn.__code__.co_filename == self.path:
                # Its source begins behind the decorators.
                lines = [line.lstrip() for line in function.raw_src]
                decorators = next((index for index, line in enumerate(lines) if line.startswith("def ")), 0)
                return int(function.starting_line_number) + decorators
        return None

    OPS: Dict[str, Callable[..., Dict[str, Any]]] = {"load": load, "compile": compile, "finish": finish}


def _dtype(name: str) -> Any:
    import triton.language as tl

    return tl.dtype(name)


if __name__ == "__main__":
    main(TritonCompiler())
