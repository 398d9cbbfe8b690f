"""What a call launches with Triton, and on what: enough to launch it again without PyTorch, with probes in the kernels.

A call is watched from two sides. Triton says of each launch which kernel it is, over which grid, with which arguments. PyTorch says of
each of its own operations what it makes: memory that a call allocates and leaves as it is (`torch.empty`) holds nothing that a kernel
could want; whatever else a kernel is given is copied as it is at its first launch.

The folder that is written holds, for each kernel, `kernel-N.ll` (Triton's LLVM IR), `kernel-N.ptx`, and `kernel-N.marked.ll` where it has scopes of
Triton's profiler; and `memory-N` for contents that are none of the problem's inputs. `launches.json` says the rest:

| field | is |
|---|---|
| `kernels` | `{name, marked, metadata}` each |
| `memory` | `{bytes, input, output, content, changed}` each: the problem's input or output that it is; whether its content is in a file; whether the call changed it |
| `launches` | `{kernel, grid, threads, shared, arguments}` in order; an argument is `{memory, offset}` or `{bits, value}` |
| `others` | operations of PyTorch's that did work on the GPU in between, and how many of each |
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from .refusal import CANDIDATE, Refusal
from .triton_stages import compile_to_llvm_ir, options_of

#: Launches of a call, and bytes of contents, that are written down at most.
MOST_LAUNCHES, MOST_BYTES = 4096, 2 << 30
MOST_KERNELS, MOST_ALLOCATIONS, LARGEST = 64, 1024, 4 << 30
#: Operations that allocate and write nothing.
EMPTY = (
    "aten::empty",
    "aten::empty_like",
    "aten::empty_permuted",
    "aten::empty_strided",
    "aten::new_empty",
    "aten::new_empty_strided",
)
WARP = 32


class Memory:
    """One allocation that kernels are given."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.input: Optional[int] = None
        #: What the problem's tensor held that it is to be, of one that the call may change.
        self.original: Any = None
        #: Whether it holds integers that are wide enough for addresses.
        self.wide = False
        self.output: Optional[int] = None
        self.content: Any = None
        self.changed = False

    def bytes(self, torch: Any, device: Any) -> Any:
        """What it holds now."""
        return torch.empty(0, dtype=torch.uint8, device=device).set_(self.storage)


class Launches:
    """The launches of one call."""

    def __init__(
        self,
        tensors: Any,
        inputs: Dict[int, Any],
        state: Optional[Dict[int, Tuple[Any, Any]]] = None,
        destinations: Sequence[Any] = (),
    ) -> None:
        """`inputs` are the tensors that hold the problem's, by their number; `state` the same of a model's own, each with what it holds at
        first, for calls may change it. What is in `destinations` does not matter."""
        self.torch, self.finish = tensors.torch, tensors.finish
        self.device = tensors.device or self.torch.device("cpu")
        known = {index: (value, None) for index, value in inputs.items()}
        known.update(state or {})
        self.inputs = {value.untyped_storage().data_ptr(): (index, value, original) for index, (value, original) in known.items()}
        #: Kernels in the order of their first launch; memory by its address.
        self.kernels: List[Any] = []
        self.memory: Dict[int, Memory] = {}
        self.launches: List[Dict[str, Any]] = []
        self.others: Dict[str, int] = {}
        #: Addresses of what was allocated in the call and has not been written to by PyTorch; nothing is freed meanwhile.
        self._empty: Dict[int, Any] = {value.untyped_storage().data_ptr(): value for value in destinations}
        self._kept: List[Any] = []
        self._noted = 0
        #: Why launches cannot be told: the call goes on undisturbed, and it is raised afterwards.
        self._why: Optional[Exception] = None

    def watch(self, call: Callable[[], Any]) -> List[Any]:
        """Makes the call, and answers what it does."""
        from triton.compiler import CompiledKernel

        launcher = CompiledKernel.run

        def run(kernel: Any) -> Callable[..., Any]:
            launch = launcher.fget(kernel)

            def noted(x: int, y: int, z: int, *others: Any) -> Any:
                try:
                    # Stream, function, metadata and hooks come before the kernel's own arguments.
                    self._note(kernel, (int(x), int(y), int(z)), others[6:])
                except Exception as error:
                    self._why = self._why or error
                return launch(x, y, z, *others)

            return noted

        CompiledKernel.run = property(run)
        try:
            with self._mode():
                result = call()
            self.finish()
        finally:
            CompiledKernel.run = launcher
        if self._why is not None:
            raise self._why
        return result

    def forget(self) -> None:
        """Lets go of all memory, which is needed by who runs next; the class that watches keeps this alive for a while."""
        for kept in (self.inputs, self.kernels, self.memory, self._empty, self._kept):
            kept.clear()

    def _mode(self) -> Any:
        from torch.utils._python_dispatch import TorchDispatchMode

        watching = self

        class Watching(TorchDispatchMode):  # type: ignore[misc]
            @classmethod
            def _should_skip_dynamo(cls) -> bool:
                """What Dynamo would do with this is no matter, and keeping it off takes an import of a second, or five."""
                return False

            def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                result = function(*args, **(kwargs or {}))
                try:
                    watching._saw(function._schema, args, kwargs or {}, result)
                except Exception as error:
                    watching._why = watching._why or error
                return result

        return Watching()

    def _saw(self, schema: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any], result: Any) -> None:
        """What an operation of PyTorch's makes of the memory that there is."""
        results = [value for value in _flat(result) if self._is_here(value)]
        self._kept.extend(results)
        if schema.name in EMPTY:
            self._empty.update((value.untyped_storage().data_ptr(), value) for value in results)
            return
        given = [(spec, args[index] if index < len(args) else kwargs.get(spec.name)) for index, spec in enumerate(schema.arguments)]
        written = [value for spec, value in given if spec.alias_info is not None and spec.alias_info.is_write]
        for value in _flat(written):
            if self._is_here(value):
                self._empty.pop(value.untyped_storage().data_ptr(), None)
        makes = any(spec.alias_info is None for spec in schema.returns) and results
        if makes or any(self._is_here(value) for value in _flat(written)):
            name = schema.name.replace("::", ".")
            self.others[name] = self.others.get(name, 0) + 1

    def _is_here(self, value: Any) -> bool:
        return isinstance(value, self.torch.Tensor) and value.device == self.device

    def _note(self, kernel: Any, grid: Tuple[int, int, int], arguments: Tuple[Any, ...]) -> None:
        from torch.utils._python_dispatch import _disable_current_modes

        # As Triton launches nothing.
        if grid[0] * grid[1] * grid[2] <= 0:
            return
        if len(self.launches) == MOST_LAUNCHES:
            raise _unable(f"a call launches more than {MOST_LAUNCHES} kernels")
        metadata = kernel.metadata
        for field, usual in [("num_ctas", 1), ("launch_cooperative_grid", False), ("launch_pdl", False), ("profile_scratch_size", 0)]:
            if getattr(metadata, field, usual) not in (usual, None):
                raise _unable(f"`{kernel.name}` is launched with `{field}={getattr(metadata, field)}`")
        if kernel not in self.kernels:
            if len(self.kernels) == MOST_KERNELS:
                raise _unable(f"a call launches more than {MOST_KERNELS} kernels that differ")
            self.kernels.append(kernel)
        with _disable_current_modes():
            signature = kernel.src.signature
            passed = [self._argument(kernel, kind, value) for kind, value in zip(signature.values(), arguments) if kind != "constexpr"]
            passed += self._scratch(metadata, grid)
        self.launches.append(
            {
                "kernel": self.kernels.index(kernel),
                "grid": list(grid),
                "threads": WARP * metadata.num_warps,
                "shared": metadata.shared,
                "arguments": passed,
            }
        )

    def _argument(self, kernel: Any, kind: Any, value: Any) -> Dict[str, Any]:
        if not isinstance(kind, str) or kind.startswith(("tensordesc", "nvTmaDesc")):
            raise _unable(f"`{kernel.name}` takes an argument of the type {kind}")
        if kind.startswith("*"):
            if value is None:
                return {"bits": 64, "value": 0}
            if not self._is_here(value):
                raise _unable(f"`{kernel.name}` takes an address that is no tensor's")
            memory = self._memory_of(value)
            return {"memory": memory, "offset": value.data_ptr() - value.untyped_storage().data_ptr()}
        return scalar(kind, value)

    def _memory_of(self, value: Any) -> int:
        """The number of the tensor's memory, whose content is kept if it has any that matters."""
        storage = value.untyped_storage()
        address = storage.data_ptr()
        if address not in self.memory:
            if len(self.memory) == MOST_ALLOCATIONS or storage.nbytes() > LARGEST:
                raise _unable(f"kernels are given more than {MOST_ALLOCATIONS} allocations, or one of more than {LARGEST >> 30} GiB")
            self._kept.append(value)
            memory = self.memory[address] = Memory(storage)
            memory.wide = value.dtype in (self.torch.int64, self.torch.uint64)
            if not self._is_input(memory, address) and address not in self._empty:
                self._noted += storage.nbytes()
                if self._noted > MOST_BYTES:
                    raise _unable(f"kernels are given more than {MOST_BYTES >> 30} GiB that are none of the problem's inputs")
                memory.content = memory.bytes(self.torch, self.device).to("cpu", copy=True)
        return list(self.memory).index(address)

    def _is_input(self, memory: Memory, address: int) -> bool:
        """Whether it is one of the problem's, whole and as that was."""
        if address not in self.inputs:
            return False
        index, value, original = self.inputs[address]
        if value.nbytes != memory.storage.nbytes():
            return False
        if original is not None:
            memory.original = original.reshape(-1).view(self.torch.uint8)
            if not self._holds(memory, memory.original):
                return False
        memory.input = index
        return True

    def _holds(self, memory: Memory, content: Any) -> bool:
        return bool(self.torch.equal(memory.bytes(self.torch, self.device).cpu(), content))

    def _scratch(self, metadata: Any, grid: Tuple[int, int, int]) -> List[Dict[str, Any]]:
        """Memory that Triton itself gives a kernel, and none for its profiler."""
        null = {"bits": 64, "value": 0}
        size = (getattr(metadata, "global_scratch_size", 0) or 0) * grid[0] * grid[1] * grid[2]
        if size == 0:
            return [null, null]
        scratch = self.torch.empty(size, dtype=self.torch.uint8, device=self.device)
        self._empty[scratch.untyped_storage().data_ptr()] = scratch
        return [{"memory": self._memory_of(scratch), "offset": 0}, null]

    def know_outputs(self, results: List[Any]) -> None:
        """Says which memory the results lie in, as far as they fill it."""
        for index, value in enumerate(results):
            memory = self.memory.get(value.untyped_storage().data_ptr()) if self._is_here(value) else None
            if memory is not None and value.is_contiguous() and value.nbytes == memory.storage.nbytes():
                memory.output = index

    def write(self, folder: str) -> None:
        """Writes all of it to an empty folder."""
        self._refuse_addresses()
        for number, memory in enumerate(self.memory.values()):
            if memory.input is not None and memory.original is not None and not self._holds(memory, memory.original):
                # Who repeats the call may not write to an input.
                memory.input, memory.content = None, memory.original
            if memory.content is not None:
                memory.changed = not self._holds(memory, memory.content)
                memory.content.numpy().tofile(os.path.join(folder, f"memory-{number}"))
        told = {
            "kernels": [self._written(folder, number, kernel) for number, kernel in enumerate(self.kernels)],
            "memory": [
                {
                    "bytes": memory.storage.nbytes(),
                    "input": memory.input,
                    "output": memory.output,
                    "content": memory.content is not None,
                    "changed": memory.changed,
                }
                for memory in self.memory.values()
            ],
            "launches": self.launches,
            "others": self.others,
        }
        _write(folder, "launches.json", json.dumps(told))

    def _refuse_addresses(self) -> None:
        """Refuses kernels that are given addresses in other ways than as tensors: they mean nothing to who repeats the call."""
        known = [value.untyped_storage() for value in self._kept] + [value.untyped_storage() for _, value, _ in self.inputs.values()]
        ranges = {(storage.data_ptr(), storage.data_ptr() + storage.nbytes()) for storage in known if storage.nbytes() > 0}
        numbers = {argument["value"] for launch in self.launches for argument in launch["arguments"] if argument.get("bits") == 64}
        if any(low <= number < high for number in numbers for low, high in ranges):
            raise _unable("a kernel takes the address of a tensor as a number")
        for memory in self.memory.values():
            if memory.wide and memory.content is not None:
                words = memory.content[: memory.content.nbytes // 8 * 8].view(self.torch.int64)
                if any(bool(((words >= low) & (words < high)).any()) for low, high in ranges):
                    raise _unable("a kernel reads addresses of tensors from a tensor")

    def _written(self, folder: str, number: int, kernel: Any) -> Dict[str, Any]:
        _write(folder, f"kernel-{number}.ll", kernel.asm["llir"])
        _write(folder, f"kernel-{number}.ptx", kernel.asm["ptx"])
        target = kernel.metadata.target
        metadata = {name: value for name, value in kernel.metadata._asdict().items() if name != "target"}
        metadata["arch_number"] = target.arch
        marked = False
        # A kernel that has scopes has their module imported; whether it has, its own stages say.
        if "triton.profiler.language" in sys.modules:
            again = compile_to_llvm_ir(kernel.src, target, options_of(metadata), markers=True)
            marked = again.marked
            if marked:
                _write(folder, f"kernel-{number}.marked.ll", again.llvm_ir)
        return {"name": kernel.name, "marked": marked, "metadata": metadata}


def scalar(kind: str, value: Any) -> Dict[str, Any]:
    """A number as the bits that a kernel is passed, by Triton's name of its type."""
    packed = {"fp16": ("<e", 16), "fp32": ("<f", 32), "f32": ("<f", 32), "fp64": ("<d", 64)}
    if kind in packed:
        form, bits = packed[kind]
        try:
            word = struct.pack(form, value)
        except OverflowError:
            # As a conversion in C.
            word = struct.pack(form, math.copysign(math.inf, value))
        return {"bits": bits, "value": int.from_bytes(word, "little")}
    if kind == "bf16":
        # The nearest one, and of two the even one, as PyTorch rounds.
        word = scalar("fp32", value)["value"]
        return {"bits": 16, "value": ((word + 0x7FFF + ((word >> 16) & 1)) >> 16) & 0xFFFF}
    if kind[:1] in ("i", "u") and kind[1:].isdigit():
        bits = max(8, int(kind[1:]))
        return {"bits": bits, "value": int(value) & ((1 << bits) - 1)}
    raise _unable(f"a kernel takes a number of the type {kind}")


def _unable(why: str) -> Refusal:
    return Refusal("not-replayed", f"{CANDIDATE} launches kernels in a way that cannot be repeated: {why}")


def _flat(value: Any) -> List[Any]:
    if isinstance(value, (list, tuple)):
        return [inner for item in value for inner in _flat(item)]
    return [value]


def _write(folder: str, name: str, text: str) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)
