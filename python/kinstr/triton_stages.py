"""Triton's own stages, one by one: as far as its LLVM IR, into which probes go, and on from there.

`python -m kinstr.triton_stages FILE` makes PTX of LLVM IR, with neither a GPU nor a candidate: FILE is JSON, `{"arch_number": 90, "jobs":
[{"llvm_ir": PATH, "ptx": PATH, "metadata": {…}}]}`, with what Triton says of each kernel as its metadata. It answers on standard output with
the assembler for that architecture, `{"ptxas": PATH}`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any, Callable, Dict, List, NamedTuple, Tuple


class Compiled(NamedTuple):
    """A kernel as far as LLVM IR."""

    llvm_ir: str
    #: The stage that makes PTX, and what Triton knows of the kernel.
    finish: Tuple[Callable[..., str], Any]
    #: Whether it has scopes that were marked.
    marked: bool


def compile_to_llvm_ir(source: Any, target: Any, options: Dict[str, Any], markers: bool) -> Compiled:
    """Triton's own stages up to optimised LLVM IR. With `markers`, scopes of `triton.profiler.language` leave comments in inline
    assembly at their borders. Whatever Triton raises comes through."""
    import triton

    found: Dict[str, Any] = {}

    def stop_at_llvm_ir(_backend: Any, stages: Dict[str, Any], *_: Any) -> None:
        make_llvm_ir, make_ptx = stages["llir"], stages["ptx"]

        def keep(module: Any, metadata: Any) -> str:
            found["llvm_ir"] = make_llvm_ir(module, metadata)
            found["finish"] = (make_ptx, metadata)
            return found["llvm_ir"]

        stages["llir"] = keep
        # The assembler has nothing to do: what it would be given is not what will run.
        stages["ptx"] = lambda module, metadata: module
        stages["cubin"] = lambda module, metadata: b""

    before = triton.knobs.runtime.add_stages_inspection_hook
    triton.knobs.runtime.add_stages_inspection_hook = stop_at_llvm_ir
    marked: List[str] = []
    unmark = _mark_scopes(marked) if markers else None
    try:
        # In a cache of its own: what is kept of stages that stopped is of no use to who runs the kernel, and the other way round.
        with triton.knobs.cache.scope(), tempfile.TemporaryDirectory() as folder:
            triton.knobs.cache.dir = folder
            triton.compile(source, target=target, options=options)
    except BaseException:
        # An empty binary has no metadata to be read back.
        if "llvm_ir" not in found:
            raise
    finally:
        if unmark is not None:
            unmark()
        triton.knobs.runtime.add_stages_inspection_hook = before
    return Compiled(found["llvm_ir"], found["finish"], bool(marked))


def _mark_scopes(marked: List[str]) -> Callable[[], None]:
    """Makes scopes leave markers, which without Triton's own profiler are nothing; answers how to undo it."""
    from triton.language.core import _unwrap_if_constexpr
    from triton.profiler import language

    before = language.record

    def mark(is_start: Any, scope_name: Any, semantic: Any) -> None:
        border, name = "begin" if _unwrap_if_constexpr(is_start) else "end", _unwrap_if_constexpr(scope_name)
        assembly = f"// kinstr: {border} {name}\n\tmov.u32 $0, 0;"
        # Triton knows no assembly without a result; `ptxas` drops what nobody uses.
        semantic.builder.create_inline_asm(assembly, "=r", [], [semantic.builder.get_int32_ty()], False, 1)
        marked.append(name)

    def undo() -> None:
        language.record = before

    language.record = mark
    return undo


def options_of(metadata: Dict[str, Any]) -> Dict[str, Any]:
    """The options that a kernel was compiled with, among what Triton says of it."""
    from triton.backends.nvidia.compiler import CUDAOptions

    # Libraries are linked by then, and a file of the user's is of no use twice.
    left_out = ("extern_libs", "ir_override")
    options = {name: metadata[name] for name in CUDAOptions.__dataclass_fields__ if name in metadata and name not in left_out}
    # JSON has no tuples, and Triton wants options that can be hashed.
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def finish(llvm_ir: str, metadata: Dict[str, Any]) -> str:
    """PTX of LLVM IR, as Triton would make it of the kernel that `metadata` is of."""
    from triton._C.libtriton import llvm
    from triton.backends.compiler import GPUTarget, Language
    from triton.compiler.compiler import make_backend

    # The stage before does it, where that has run.
    llvm.init_targets()
    backend = make_backend(GPUTarget("cuda", metadata["arch_number"], 32))
    stages: Dict[str, Any] = {}
    backend.add_stages(stages, backend.parse_options(options_of(metadata)), Language.TRITON)
    return str(stages["ptx"](llvm_ir, dict(metadata)))


def _main(path: str) -> None:
    from triton.backends.nvidia.compiler import get_ptxas

    with open(path, encoding="utf-8") as file:
        asked = json.load(file)
    for job in asked["jobs"]:
        with open(job["llvm_ir"], encoding="utf-8") as file:
            text = file.read()
        with open(job["ptx"], "w", encoding="utf-8") as file:
            file.write(finish(text, job["metadata"]))
    print(json.dumps({"ptxas": get_ptxas(asked["arch_number"]).path}))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    _main(sys.argv[1])
