"""The process that hosts a reference: `python -m kinstr.host`.

Requests are JSON objects, one a line, on standard input. Replies go to descriptor 3, one a line, each with the
`nonce` of its request and either `ok` or `error`. Whatever the reference prints goes to standard error. Everything
runs on one thread, as candidates for the CPU do.

| op | fields | does |
|---|---|---|
| `load` | `path`, `function` (null for KernelBench), `device` (number of a GPU, or null), `cores`, `writable` | imports the reference, and runs on those cores and writes in those places from then on |
| `describe` | `seed` | KernelBench: names, element types and shapes |
| `bind` | `fd`, `buffers` | maps the arena; a buffer is `{name, role, offset, dtype, shape}` |
| `fill` | `seed`, `model` | KernelBench: makes inputs, and with `model` the model, and writes both to the input buffers |
| `model` | | what a candidate's model is made with (KernelBench), and how the last outputs lie in memory |
| `take` | | copies the input buffers, so that no run sees them change |
| `compile` | | makes a second variant of the reference with `torch.compile`, and calls it once |
| `time` | `calls`, `rotate`, `compiled` | times calls on the GPU, each at other addresses, with `rotate` on moved inputs, and with the cache overwritten |
| `run` | `calls`, `store`, `compiled` | calls the reference, or its compiled variant; with `store`, writes the last outputs to the output buffers |
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from typing import Any, Callable, Dict, List, Optional, TextIO

# Before NumPy or PyTorch are imported, for they read these once.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_variable] = "1"

from . import bytecode, leaving, loading  # noqa: E402
from .kernelbench import KernelBench  # noqa: E402
from .plain import to_plain  # noqa: E402
from .refusal import REFERENCE, Refusal, from_exception  # noqa: E402
from .tensors import Buffer, NumpyTensors, TorchTensors, as_list, store  # noqa: E402

#: The descriptor of replies.
REPLIES = 3


class Answering:
    """Something that does what requests ask for, by the name of their `op`."""

    OPS: Dict[str, Callable[..., Dict[str, Any]]] = {}

    def answer(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """The reply to a request, without its nonce."""
        op = self.OPS.get(request.get("op", ""))
        try:
            if op is None:
                raise Refusal("protocol", f"unknown op `{request.get('op')}`")
            return {"ok": op(self, request)}
        except Refusal as refusal:
            return {"error": refusal.reply()}


class Host(Answering):
    """One reference, from `load` to the last `run`."""

    def __init__(self) -> None:
        self.path = ""
        self.kind = ""
        self.tensors: Any = None
        self.function: Optional[Callable[..., Any]] = None
        self.kernelbench: Optional[KernelBench] = None
        self.memory: Optional[mmap.mmap] = None
        self.inputs: List[Buffer] = []
        self.outputs: List[Buffer] = []
        self.input_views: List[Any] = []
        self.output_views: List[Any] = []
        self.arguments: List[Any] = []
        self.strides: List[Any] = []
        self.compiled: Optional[Callable[..., Any]] = None

    def load(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Imports the reference."""
        self.path = os.path.realpath(request["path"])
        self.kind = loading.kind_of(self.path)
        if request["function"] is None and self.kind != loading.KERNELBENCH:
            raise self._not_kernelbench()
        try:
            self.tensors = self._tensors(request.get("device"))
        except ModuleNotFoundError as error:
            raise from_exception(error, self.path, "being loaded") from error
        bound = leaving.bind_to(request.get("cores", []))
        writable = request.get("writable")
        writes = writable is None or leaving.write_only_in(writable["places"], writable["rights"])
        module = loading.import_reference(self.path)
        if self.kind == loading.KERNELBENCH:
            for name in loading.KERNELBENCH_NAMES:
                loading.function_of(module, name, self.path)
            self.kernelbench = KernelBench(module, self.path, self.tensors)
            self.function = self.kernelbench.forward
        else:
            self.function = loading.function_of(module, request["function"], self.path)
        versions = [f"python {sys.version.split()[0]}", self.tensors.version()]
        device = self.tensors.device_name()
        return {
            "kind": self.kind,
            "threads": 1,
            "versions": versions,
            "device": device,
            "own_cores": bound,
            "writes_confined": writes,
        }

    def _tensors(self, device: Optional[int]) -> Any:
        """What the reference's library is seen through, once that is imported."""
        if self.kind == loading.NUMPY:
            return NumpyTensors()
        bytecode.look_up()
        with bytecode.kept():
            return TorchTensors(device)

    def describe(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """KernelBench: what the problem's inputs, state and outputs are."""
        return self._kernelbench().describe(request["seed"])

    def bind(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Maps the arena."""
        buffers = [Buffer.parse(fields) for fields in request["buffers"]]
        self.memory = mmap.mmap(request["fd"], 0)
        self.inputs = [buffer for buffer in buffers if buffer.role == "input"]
        self.outputs = [buffer for buffer in buffers if buffer.role == "output"]
        self.input_views = [self.tensors.view(self.memory, buffer) for buffer in self.inputs]
        self.output_views = [self.tensors.view(self.memory, buffer) for buffer in self.outputs]
        self.arguments = []
        return {}

    def fill(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """KernelBench: writes fresh inputs and state to the arena."""
        kernelbench, seed = self._kernelbench(), request["seed"]
        if request.get("model", True):
            inputs, state = kernelbench.make(seed)
        else:
            inputs, state = kernelbench.make_inputs(seed), list(kernelbench.model.state_dict().values())
        store(self.tensors, self.inputs, self.input_views, inputs + state, "get_inputs with the model's state")
        return {}

    def model(self, _request: Dict[str, Any]) -> Dict[str, Any]:
        """The arguments of KernelBench's `Model`, and the strides of the last outputs."""
        values = [] if self.kernelbench is None else self.kernelbench.init_inputs
        init_inputs = [to_plain(value, self.path) for value in values]
        return {"init_inputs": init_inputs, "strides": self.strides}

    def take(self, _request: Dict[str, Any]) -> Dict[str, Any]:
        """Copies the inputs out of the arena."""
        copies = [self.tensors.copy_of(view) for view in self.input_views]
        if self.kernelbench is None:
            self.arguments = copies
        elif self.kernelbench.model is None:
            raise Refusal("protocol", "`take` before `fill`")
        else:
            inputs = len(copies) - len(self.kernelbench.model.state_dict())
            self.arguments = copies[:inputs]
            self.kernelbench.load_state(copies[inputs:])
            self.tensors.move_model(self.kernelbench.model)
        return {}

    def run(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Calls the reference."""
        result = None
        try:
            call = self._call_compiled if request.get("compiled") else self._call_with
            for _ in range(request["calls"]):
                result = call(self.arguments)
            self.tensors.finish()
        except Refusal:
            raise
        except BaseException as error:
            raise from_exception(error, self.path, "running") from error
        if request.get("store"):
            try:
                store(self.tensors, self.outputs, self.output_views, as_list(result), REFERENCE)
                self.strides = [self.tensors.strides_of(value) for value in as_list(result)]
                self._refuse_changed_inputs()
            except Refusal as refusal:
                refusal.details.update(self._first_line())
                raise
        return {}

    def time(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Times calls on the GPU."""
        try:
            call = self._call_compiled if request.get("compiled") else self._call_with
            times = self.tensors.time(call, self.arguments, request["calls"], request["rotate"])
            return {"device_ns": times}
        except Refusal:
            raise
        except BaseException as error:
            raise from_exception(error, self.path, "being timed") from error

    def compile(self, _request: Dict[str, Any]) -> Dict[str, Any]:
        """Makes the compiled variant. A model that is there is the one that is compiled."""
        if self.kind == loading.NUMPY:
            raise Refusal("unsupported", "the reference is NumPy's, and torch.compile is for PyTorch")
        torch = self.tensors.torch
        try:
            self.compiled = torch.compile(self.function if self.kernelbench is None else self.kernelbench.model)
            self._call_compiled(self.arguments)
            self.tensors.finish()
        except BaseException as error:
            raise from_exception(error, self.path, "being compiled by torch.compile") from error
        return {}

    def _call_compiled(self, arguments: List[Any]) -> Any:
        if self.compiled is None:
            raise Refusal("protocol", "no `compile` before")
        with self.tensors.torch.no_grad():
            return self.compiled(*arguments)

    def _first_line(self) -> Dict[str, Any]:
        """Where the function stands that gave the outputs, if it stands in the user's file."""
        code = getattr(self._entry(), "__code__", None)
        if code is None or code.co_filename != self.path:
            return {}
        return {"file": self.path, "line": code.co_firstlineno}

    def _entry(self) -> Any:
        """What is called, as its author wrote it."""
        return self.function if self.kernelbench is None else type(self.kernelbench.model).forward

    def _call(self) -> Any:
        return self._call_with(self.arguments)

    def _call_with(self, arguments: List[Any]) -> Any:
        if self.function is None:
            raise Refusal("protocol", "`run` before `load`")
        if self.kind == loading.NUMPY:
            return self.function(*arguments)
        with self.tensors.torch.no_grad():
            return self.function(*arguments)

    def _refuse_changed_inputs(self) -> None:
        """A reference that changes its inputs gives something else on every call."""
        for buffer, view, argument in zip(self.inputs, self.input_views, self.arguments):
            if not self.tensors.same_bits(view, argument):
                raise Refusal(
                    "changes-input",
                    f"the reference changes its input `{buffer.name}`",
                    "copy it first, with .copy() in NumPy or .clone() in PyTorch",
                    file=self.path,
                )

    def _kernelbench(self) -> KernelBench:
        if self.kernelbench is None:
            raise self._not_kernelbench()
        return self.kernelbench

    def _not_kernelbench(self) -> Refusal:
        names = ", ".join(loading.KERNELBENCH_NAMES)
        return Refusal(
            "not-kernelbench",
            f"{self.path} is not a KernelBench file, which would define {names}",
            "a reference alone is no problem: name it in the `reference` of a .toml file",
            file=self.path,
        )

    OPS: Dict[str, Callable[..., Dict[str, Any]]] = {
        "load": load,
        "describe": describe,
        "bind": bind,
        "fill": fill,
        "model": model,
        "take": take,
        "compile": compile,
        "time": time,
        "run": run,
    }


def serve(host: Answering, requests: TextIO, replies: TextIO) -> None:
    """Answers requests until there are no more."""
    for line in requests:
        request = json.loads(line)
        reply = host.answer(request)
        reply["nonce"] = request.get("nonce")
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def main(host: Answering, keeps_output: bool = False) -> None:
    """Takes standard input and descriptor 3 for itself, so that the user's file gets at neither, and serves."""
    sys.dont_write_bytecode = True
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(REPLIES, "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if not keeps_output:
        os.dup2(2, 1)
    serve(host, requests, replies)


if __name__ == "__main__":
    main(Host())
