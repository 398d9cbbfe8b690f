"""The process that runs a candidate in Python: `python -m kinstr.candidate [GPU]`.

It speaks as `kinstr.host` does, and is confined as compiled candidates are. It is told the problem's path, so that it can
say when the candidate reads that file, and never an expected output. PyTorch is imported before the first request, for it
takes seconds in which the problem is not known yet.

| op | fields | does |
|---|---|---|
| `start` | `workloads` (of each `fd` and `buffers`), `inputs`, `cores`, `memory`, `filter`, `writable` | maps the arenas, gives up what a candidate must not have |
| `select` | `workload` (number) | all below is about this one; without it about the first |
| `load` | `path`, `folder`, `problem`, `function`, `destinations` | imports the candidate, of which `folder` may be a package; it defines `ModelNew`, or the function if one is named |
| `make` | `seed`, `init_inputs`, `strides` | makes `ModelNew`, if there is one, as the reference's model was made, and takes the inputs |
| `take` | | copies the input buffers; the model stays |
| `overwrite` | | destinations hold what the output buffers do |
| `run` | `calls` | calls the model |
| `renew` | `calls`, `call`, `rotate` | moves the elements of inputs before each call |
| `time` | `calls`, `call`, `rotate` | times calls on the GPU as the host does; without `call`, what surrounds them |
| `fetch` | | writes the last outputs, and the inputs as they are now, to their buffers |
| `launches` | `folder` | calls the model, and writes to that folder which Triton kernels it launches, with what: see `kinstr.launches` |
| `oddities` | | what the candidate does that has no effect, and that a reader should know |
"""

from __future__ import annotations

import importlib
import importlib.util
import mmap
import os
import shutil
import sys
from typing import Any, Callable, Dict, List, Optional

from . import bytecode, leaving, loading
from .host import Host, main
from .kernels import Kernels, know_triton
from .plain import from_plain
from .refusal import CANDIDATE, Refusal, from_exception
from .tensors import Buffer, TorchTensors, as_list, store
from .watch import Patches, Watch, repeated

#: The class that a candidate defines.
MODEL = "ModelNew"


class Workload:
    """The tensors of a workload, of which the first `arguments` inputs are a model's arguments, and the others its weights."""

    def __init__(self, tensors: TorchTensors, arguments: int, fd: int, buffers: List[Dict[str, Any]]) -> None:
        memory = mmap.mmap(fd, 0)
        parsed = [Buffer.parse(fields) for fields in buffers]
        inputs = [buffer for buffer in parsed if buffer.role == "input"]
        self.inputs, self.state = inputs[:arguments], inputs[arguments:]
        self.outputs = [buffer for buffer in parsed if buffer.role == "output"]
        self.input_views, self.state_views, self.output_views = (
            [tensors.view(memory, buffer) for buffer in part] for part in (self.inputs, self.state, self.outputs)
        )

    def nbytes(self) -> int:
        """Of arguments and outputs."""
        return sum(view.nbytes for view in self.input_views + self.output_views)


class Candidate(Host):
    """One candidate, from `start` to the last `fetch`."""

    def __init__(self, device: Optional[int] = None) -> None:
        super().__init__()
        self.device = device
        self.unable: Optional[Refusal] = None
        bytecode.look_up()
        try:
            self.tensors = TorchTensors(device)
        except Exception as error:
            self.unable = from_exception(error, "", "importing PyTorch", CANDIDATE)
        if device is not None and importlib.util.find_spec("triton") is not None:
            # Time in which the reference is asked what the problem is.
            importlib.import_module("triton.language")
            know_triton()
        self.torch: Any = None
        self.module: Any = None
        self.model_new: Any = None
        self.plain: Optional[Callable[..., Any]] = None
        #: The file whose lines errors name, or the folder of such files.
        self.own = ""
        self.takes_destinations = False
        #: What the function writes to, if it does not return its outputs.
        self.destinations: List[Any] = []
        self.workloads: List[Workload] = []
        self.state: List[Buffer] = []
        self.state_views: List[Any] = []
        self.result: Any = None
        self.watch: Optional[Watch] = None
        self.kernels: Optional[Kernels] = None
        self.patches: Optional[Patches] = None

    def start(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Everything that needs more rights than the candidate has."""
        if self.unable is not None:
            raise self.unable
        if self.device is not None and self.tensors.device is None:
            raise Refusal("no-device", f"PyTorch {self.tensors.version()} sees no GPU {self.device} here")
        self.torch = self.tensors.torch
        self.function = self.forward
        self.workloads = [Workload(self.tensors, request["inputs"], **workload) for workload in request["workloads"]]
        self.select({"workload": 0})
        bound = leaving.bind_to(request["cores"])
        if self.device is None:
            limited = leaving.limit_memory(request["memory"])
        else:
            self.tensors.limit_memory(request["memory"], max(workload.nbytes() for workload in self.workloads))
            limited = True
        writable = request["writable"]
        writes = writable is None or leaving.write_only_in(writable["places"], writable["rights"])
        confined = leaving.forbid(request["filter"])
        self.patches = Patches(self.torch)
        versions = [f"python {sys.version.split()[0]}", self.tensors.version()]
        name = self.tensors.device_name()
        return {
            "versions": versions,
            "device": name,
            "writes_confined": writes,
            "own_cores": bound,
            "memory_limited": limited,
            "confined_to_program": confined,
        }

    def select(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Makes one workload the one at hand, and keeps nothing of another."""
        chosen = self.workloads[request["workload"]]
        self.inputs, self.state, self.outputs = chosen.inputs, chosen.state, chosen.outputs
        self.input_views, self.state_views, self.output_views = chosen.input_views, chosen.state_views, chosen.output_views
        self.arguments, self.destinations, self.result = [], [], None
        if self.kernels is not None:
            self.kernels.expect()
        return {}

    def load(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Imports the candidate."""
        self.path = os.path.realpath(request["path"])
        folder = request.get("folder")
        self.own = folder or self.path
        self.takes_destinations = bool(request.get("destinations"))
        copied = repeated(self.path, request["problem"])
        if self.device is None:
            # Triton reads it where kernels are defined.
            os.environ["TRITON_INTERPRET"] = "1"
        # From here on the candidate's own code runs.
        self.watch = Watch(request["problem"])
        self.module = (
            loading.import_file(self.path, "kinstr_candidate", CANDIDATE)
            if folder is None
            else loading.import_from(folder, self.path, CANDIDATE)
        )
        if request["function"] is not None:
            self.plain = loading.function_of(self.module, request["function"], self.path, CANDIDATE)
        elif not isinstance(getattr(self.module, MODEL, None), type):
            own = [name for name, value in vars(self.module).items() if isinstance(value, type)]
            defined = [name for name in own if getattr(self.module, name).__module__ == self.module.__name__]
            raise Refusal(
                "no-model",
                f"{CANDIDATE} has no class `{MODEL}`",
                "it defines " + ", ".join(f"`{n}`" for n in sorted(defined))
                if defined
                else "it defines no class at all",
            )
        self.kernels = Kernels(*loading.modules_in(self.own))
        return {
            "repeats_line": copied,
            "kernels": self.kernels.names(),
            "interpreted": self.kernels.interpreted,
        }

    def make(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """A model made under the seed of the reference's, with the reference's weights where it has them too."""
        init_inputs = [from_plain(value) for value in request["init_inputs"]]
        self.strides = request["strides"] or [None] * len(self.outputs)
        self.model_new = self.result = None
        if self.plain is not None:
            self.take(request)
            return {"own_state": []}
        try:
            self.torch.manual_seed(request["seed"])
            with self.torch.no_grad():
                model = getattr(self.module, MODEL)(*init_inputs)
        except BaseException as error:
            raise from_exception(error, self.own, f"making {MODEL}", CANDIDATE) from error
        if not isinstance(model, self.torch.nn.Module):
            raise Refusal("not-a-module", f"`{MODEL}` is not a torch.nn.Module", "derive it from torch.nn.Module")
        self.tensors.move_model(model)
        self.model_new = model
        own = self._share_state()
        self.take(request)
        return {"own_state": own}

    def _share_state(self) -> List[str]:
        """Gives the model the reference's state by name, and answers what it has no place for."""
        own, missing = self.model_new.state_dict(), []
        for buffer, view in zip(self.state, self.state_views):
            value = own.get(buffer.name)
            if value is None or value.shape != view.shape or value.dtype != view.dtype:
                missing.append(buffer.name)
                continue
            with self.torch.no_grad():
                value.copy_(view)
        return missing

    def take(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Copies the inputs out of the arena."""
        self.arguments = [self.tensors.copy_of(view) for view in self.input_views]
        return self.overwrite(request) if self.takes_destinations else {}

    def overwrite(self, _request: Dict[str, Any]) -> Dict[str, Any]:
        """New destinations with what the output buffers hold, whatever was made of those before."""
        # Those before are freed first: on a GPU there is room for one set.
        self.destinations, self.result = [], None
        self.destinations = [self.tensors.copy_of(view) for view in self.output_views]
        return {}

    def forward(self, *inputs: Any) -> Any:
        """Runs the model or the function, by as many steps as the reference's takes."""
        if self.takes_destinations and self.plain is not None:
            self.plain(*inputs, *self.destinations)
            return self.destinations
        if self.plain is not None:
            return self.plain(*inputs)
        with self.torch.no_grad():
            return self.model_new(*inputs)

    def run(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Calls the model."""
        try:
            for _ in range(request["calls"]):
                self.result = self._call()
            self.tensors.finish()
        except BaseException as error:
            raise from_exception(error, self.own, "running forward", CANDIDATE) from error
        return {}

    def renew(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Calls the model on inputs that are others every time."""
        moved = [self.arguments[index] for index in request["rotate"]]
        for _ in range(request["calls"]):
            with self.torch.no_grad():
                for value in moved:
                    value.copy_(value.reshape(-1).roll(1).reshape(value.shape))
            if request["call"]:
                self.run({"calls": 1})
        return {}

    def time(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Times calls on the GPU, or what surrounds them."""
        call = self._keep_result if request["call"] else lambda _: None
        try:
            times = self.tensors.time(call, self.arguments, request["calls"], request["rotate"])
        except Refusal:
            raise
        except BaseException as error:
            raise from_exception(error, self.own, "being timed", CANDIDATE) from error
        return {"device_ns": times, "launches": 0, "fresh_addresses": True}

    def _keep_result(self, arguments: List[Any]) -> None:
        self.result = self._call_with(arguments)

    def launches(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Writes down what one call launches with Triton."""
        from .launches import Launches

        if self.kernels is None or not self.kernels.names():
            raise Refusal("not-replayed", f"{CANDIDATE} has no Triton kernels at the top level of its files")
        if self.kernels.traced():
            raise Refusal("not-replayed", f"{CANDIDATE} uses torch.compile, which launches kernels of its own, unseen")
        launches = Launches(self.tensors, dict(enumerate(self.arguments)), self._known_state(), self.destinations)
        try:
            # What it compiles and tunes is done by the first call.
            self._call()
            self.result = launches.watch(self._call)
            launches.know_outputs(as_list(self.result))
            shutil.rmtree(request["folder"], ignore_errors=True)
            os.mkdir(request["folder"])
            launches.write(request["folder"])
        except Refusal:
            raise
        except BaseException as error:
            raise from_exception(error, self.own, "its launches being noted", CANDIDATE) from error
        finally:
            launches.forget()
        return {"launches": len(launches.launches)}

    def _known_state(self) -> Dict[int, Any]:
        """The model's tensors that have the reference's values, with these, by the number of the problem's input."""
        own = self.model_new.state_dict() if self.model_new is not None else {}
        found = {}
        for number, (buffer, view) in enumerate(zip(self.state, self.state_views), len(self.inputs)):
            value = own.get(buffer.name)
            if value is not None and value.is_contiguous() and value.dtype == view.dtype and value.shape == view.shape:
                found[number] = (value, view)
        return found

    def oddities(self, _request: Dict[str, Any]) -> Dict[str, Any]:
        """What is the reference's alone to say, and what of PyTorch's was replaced."""
        own = [name for name in loading.KERNELBENCH_NAMES if name in vars(self.module)]
        return {"defines": own, "patched": self.patches.found() if self.patches is not None else []}

    def fetch(self, _request: Dict[str, Any]) -> Dict[str, Any]:
        """Writes what the last call left."""
        if self.kernels is not None:
            self.kernels.refuse_idle(self.own)
        values = as_list(self.result)
        try:
            for buffer, value, strides in zip(self.outputs, values, self.strides):
                self._refuse_odd(buffer, value, strides)
            store(self.tensors, self.outputs, self.output_views, values, CANDIDATE)
            for buffer, view, argument in zip(self.inputs, self.input_views, self.arguments):
                self._put_back(buffer, view, argument)
        except Refusal as refusal:
            refusal.details.update(self._first_line())
            raise
        return {}

    def _refuse_odd(self, buffer: Buffer, value: Any, strides: Optional[List[int]]) -> None:
        """Refuses a tensor that is computed when it is looked at, or that does not lie as the reference's does."""
        if not self.tensors.is_tensor(value) or tuple(value.shape) != buffer.shape:
            return
        if type(value) not in (self.torch.Tensor, self.torch.nn.Parameter) or value.layout != self.torch.strided:
            kind = type(value).__name__ if value.layout == self.torch.strided else str(value.layout)
            text = f"{CANDIDATE} returned {kind} for `{buffer.name}`, which is no plain tensor"
            raise Refusal("not-a-tensor", text, "return a dense torch.Tensor, computed by the time it is returned")
        if not self.tensors.is_here(value):
            here = self.tensors.device or "cpu"
            text = f"{CANDIDATE} returned `{buffer.name}` on the device {value.device}, the problem's is on {here}"
            raise Refusal("wrong-device", text, "return it where the inputs are")
        own = list(value.stride())
        if not value.is_contiguous() and own != strides:
            text = f"{CANDIDATE} returned `{buffer.name}` with strides {own}, the reference's are {strides}"
            raise Refusal("wrong-stride", text, "return it with .contiguous()")

    def _put_back(self, buffer: Buffer, view: Any, argument: Any) -> None:
        if argument.shape != view.shape or argument.dtype != view.dtype:
            text = f"{CANDIDATE} changes the shape of its input `{buffer.name}`"
            raise Refusal("writes-input", text, "inputs are read-only: copy what must be changed")
        self.tensors.store(view, argument)

    def _entry(self) -> Any:
        return type(self.model_new).forward if self.plain is None else self.plain

    def answer(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """As the host does; but a candidate that read the problem's file has no other answer any more."""
        reply = super().answer(request)
        sys.stdout.flush()
        if self.watch is not None and self.watch.seen is not None:
            text = f"{CANDIDATE} opens the problem's file, {self.watch.seen}"
            hint = "compute the outputs: the reference's code is not a candidate's to run"
            place = self.watch.place(self.own)
            return {"error": Refusal("reads-problem", text, hint, **place).reply()}
        return reply

    OPS: Dict[str, Callable[..., Dict[str, Any]]] = {
        "start": start,
        "select": select,
        "load": load,
        "make": make,
        "take": take,
        "overwrite": overwrite,
        "run": run,
        "renew": renew,
        "time": time,
        "launches": launches,
        "oddities": oddities,
        "fetch": fetch,
    }


if __name__ == "__main__":
    main(Candidate(int(sys.argv[1]) if len(sys.argv) > 1 else None), keeps_output=True)
