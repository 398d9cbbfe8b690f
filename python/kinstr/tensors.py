"""Tensors in shared memory, seen as NumPy arrays or as PyTorch tensors.

NumPy and PyTorch are imported only by the reference's kind, for PyTorch takes seconds.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import threading
from dataclasses import dataclass
from time import perf_counter_ns as clock
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from .refusal import CANDIDATE, Refusal
from .streams import AllStreams, opened

#: kinstr's names of element types, with those NumPy and PyTorch share.
DTYPES: Dict[str, str] = {
    "f16": "float16",
    "bf16": "bfloat16",
    "f32": "float32",
    "f64": "float64",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "index": "int64",
    "u8": "uint8",
    "bool": "bool",
}

#: The other way round; `int64` is `i64`, for `index` is a word of problem files only.
NAMES: Dict[str, str] = {python: name for name, python in DTYPES.items() if name != "index"}

#: The least and the greatest value of types that do not round.
INTEGERS: Dict[str, Tuple[int, int]] = {
    **{f"i{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)},
    "index": (-(1 << 63), (1 << 63) - 1),
    "u8": (0, 255),
    "bool": (0, 1),
}


#: Sets of tensors on a GPU that are kinstr's own: arguments, two to take turns, outputs, and what rolling takes meanwhile.
SETS = 6
#: Bytes that are overwritten before a timed call, at least: as many as KernelBench overwrites. Besides the cache, they give the host some
#: 200 microseconds in which what it launches costs no time on the GPU: Triton's own launch takes 20 to 50.
OVERWRITTEN = 256 << 20
#: Bytes that are copied at a time to be compared.
AT_ONCE = 1 << 28
#: A GPU whose other streams have nothing to do is idle sooner after the last work of its own: less is not seen. Where the device's clock has
#: looked, the host's, which adds its own pauses to every wait, is believed only from far more on.
UNSEEN_NS = 30_000
PAUSES_NS = 200_000


@dataclass(frozen=True)
class Buffer:
    """One tensor of the arena."""

    name: str
    role: str
    offset: int
    dtype: str
    shape: Tuple[int, ...]

    @staticmethod
    def parse(fields: Dict[str, Any]) -> "Buffer":
        """From a request."""
        return Buffer(fields["name"], fields["role"], fields["offset"], fields["dtype"], tuple(fields["shape"]))

    @property
    def elements(self) -> int:
        """Number of elements."""
        product = 1
        for extent in self.shape:
            product *= extent
        return product


class NumpyTensors:
    """How NumPy sees the arena."""

    def __init__(self) -> None:
        import numpy

        self.np = numpy

    def version(self) -> str:
        """The library's."""
        return f"numpy {self.np.__version__}"

    def device_name(self) -> Optional[str]:
        """NumPy runs on the CPU."""
        return None

    def finish(self) -> None:
        """Every call is over when it returns."""

    def move_model(self, model: Any) -> None:
        """A model is PyTorch's."""

    def time(self, call: Callable[[List[Any]], Any], arguments: List[Any], calls: int, rotate: bool) -> List[float]:
        """There is no device to time on."""
        raise Refusal("protocol", "`time` without a GPU")

    def view(self, memory: mmap.mmap, buffer: Buffer) -> Any:
        """The buffer itself; writing to the view writes to the arena."""
        if buffer.dtype == "bf16":
            raise Refusal("unsupported", f"NumPy has no bf16, the type of `{buffer.name}`", "use a PyTorch reference")
        dtype = self.np.dtype(DTYPES[buffer.dtype])
        return self.np.ndarray(buffer.shape, dtype, memory, buffer.offset)

    def copy_of(self, view: Any) -> Any:
        """A copy of its own, which the reference cannot write to."""
        copy = view.copy()
        copy.flags.writeable = False
        return copy

    def same_bits(self, one: Any, other: Any) -> bool:
        """Whether the contents are equal bit by bit, NaN included."""
        return bool(one.tobytes() == other.tobytes())

    def is_tensor(self, value: Any) -> bool:
        """Whether it is an array, or a NumPy scalar."""
        return isinstance(value, (self.np.ndarray, self.np.generic))

    def dtype_of(self, tensor: Any) -> str:
        """The element type's name in Python."""
        return str(tensor.dtype)

    def conversion(self, dtype: str) -> str:
        """What to write to get this element type."""
        return f"convert it: .astype(numpy.{dtype})"

    def strides_of(self, value: Any) -> Optional[List[int]]:
        """NumPy's are in bytes, and nobody asks for them."""
        return None

    def store(self, view: Any, value: Any) -> None:
        """Writes the value over the buffer, whatever its strides."""
        view[...] = value


def _open(device: Optional[int]) -> None:
    """Opens a GPU, which takes 0.3 s of the driver's time and none of Python's. PyTorch takes over what is open, and tells
    what is wrong where nothing could be opened."""
    if device is None:
        return
    # As PyTorch sets it, and the driver reads once.
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")
    driver = opened()
    if driver is None:
        return
    handle, context = ctypes.c_int(), ctypes.c_void_p()
    if driver.cuInit(0) == 0 and driver.cuDeviceGet(ctypes.byref(handle), device) == 0:
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), handle)


class TorchTensors:
    """How PyTorch sees the arena; on a GPU, if one is asked for and PyTorch has it."""

    def __init__(self, device: Optional[int] = None) -> None:
        opening = threading.Thread(target=_open, args=(device,), daemon=True)
        opening.start()
        # Importing makes nothing but what stays: looking for garbage would take a tenth of its time, and of calls later.
        gc.disable()
        import torch

        gc.freeze()
        gc.enable()
        opening.join()
        # One thread, as candidates have on the CPU.
        torch.set_num_threads(1)
        if torch.get_num_interop_threads() != 1:
            # Once a process, and before anything runs.
            torch.set_num_interop_threads(1)
        self.torch = torch
        self.device: Any = None
        if device is not None and torch.cuda.is_available() and device < torch.cuda.device_count():
            self.device = torch.device("cuda", device)
            torch.cuda.set_device(self.device)
            # The type's own precision, as on the CPU.
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
            # Makes the context, and finds out whether the device works.
            torch.zeros(1, device=self.device)
            # Of the context that is current before any file of the user's has run, and could make another one so.
            self._streams = AllStreams()
        self._scratch: Any = None

    def limit_memory(self, memory: int, tensors: int) -> None:
        """Lets the process allocate `memory` bytes on the GPU beyond several sets of tensors of so many bytes."""
        properties = self.torch.cuda.get_device_properties(self.device)
        beyond = SETS * tensors + overwritten(properties.L2_cache_size)
        fraction = min(1.0, (memory + beyond) / properties.total_memory)
        self.torch.cuda.set_per_process_memory_fraction(fraction, self.device)

    def is_here(self, value: Any) -> bool:
        """Whether it is where the inputs are."""
        return bool(value.device == (self.device or self.torch.device("cpu")))

    def version(self) -> str:
        """The library's."""
        return f"torch {self.torch.__version__}"

    def device_name(self) -> Optional[str]:
        """The GPU, if it runs on one."""
        return None if self.device is None else self.torch.cuda.get_device_name(self.device)

    def finish(self) -> None:
        """Waits for the GPU."""
        if self.device is not None:
            self.torch.cuda.synchronize(self.device)

    def move_model(self, model: Any) -> None:
        """Puts a model where the tensors are."""
        if self.device is not None:
            model.to(self.device)

    def time(self, call: Callable[[List[Any]], Any], arguments: List[Any], calls: int, rotate: bool) -> List[float]:
        """Nanoseconds of each call on the GPU, until all of its work is done. Inputs change places from call to call, with
        `rotate` those of floats also move by elements, and at least twice the cache is overwritten before each call. The last one
        finds the inputs as they are."""
        if self.device is None:
            raise Refusal("protocol", "`time` without a GPU")
        torch = self.torch
        if self._scratch is None:
            words = overwritten(torch.cuda.get_device_properties(self.device).L2_cache_size) // 4
            self._scratch = torch.empty(words, dtype=torch.int32, device=self.device)
        sets = [[value.clone() for value in arguments] for _ in range(2)]
        events = [torch.cuda.Event(enable_timing=True) for _ in range(3)]
        times = []
        for left in reversed(range(calls)):
            current = sets[left % 2]
            for value, source in zip(current, arguments):
                if rotate and source.is_floating_point() and source.numel() > 1:
                    value.copy_(torch.roll(source.reshape(-1), left).reshape(source.shape))
            self._scratch.fill_(left)
            # Read as well, so that a call does not wait until what was written has left the cache.
            self._scratch.sum()
            times.append(self._timed(events, call, current))
        return times

    def _timed(self, events: List[Any], call: Callable[[List[Any]], Any], arguments: List[Any]) -> float:
        """Nanoseconds of one call. Work on other streams, which no event on one of them waits for, is seen by the device's clock as far as
        it was launched when the call returned, and by the host's what came later."""
        begin, end, last = events
        begin.record()
        call(arguments)
        end.record()
        if self._streams.join(self.torch.cuda.current_stream(self.device).cuda_stream):
            last.record()
            last.synchronize()
            beyond, least = end.elapsed_time(last) * 1e6, PAUSES_NS
        else:
            end.synchronize()
            beyond, least = 0.0, UNSEEN_NS
        late = self._waited()
        elsewhere = (beyond if beyond > UNSEEN_NS else 0) + (late if late > least else 0)
        return float(begin.elapsed_time(end) * 1e6 + elsewhere)

    def _waited(self) -> int:
        """Nanoseconds until the GPU has nothing to do, by the host's clock: without what waiting takes even then, which is what
        waiting again takes."""
        first = self._waiting()
        return max(0, first - min(self._waiting(), UNSEEN_NS))

    def _waiting(self) -> int:
        begin = clock()
        self.finish()
        return clock() - begin

    def view(self, memory: mmap.mmap, buffer: Buffer) -> Any:
        """The buffer itself; writing to the view writes to the arena."""
        dtype = getattr(self.torch, DTYPES[buffer.dtype])
        if buffer.elements == 0:
            return self.torch.empty(buffer.shape, dtype=dtype)
        flat = self.torch.frombuffer(memory, dtype=dtype, count=buffer.elements, offset=buffer.offset)
        return flat.reshape(buffer.shape)

    def copy_of(self, view: Any) -> Any:
        """A copy of its own."""
        return view.clone() if self.device is None else view.to(self.device)

    def same_bits(self, one: Any, other: Any) -> bool:
        """Whether the contents are equal bit by bit, NaN included. On a GPU it compares them, which is ten times as fast."""
        ones, others = (self._raw(value) for value in (one, other))
        return all(self.torch.equal(a.to(b.device), b) for a, b in zip(ones, others))

    def _raw(self, value: Any) -> Any:
        """Its bytes, in parts, so that a GPU has room for one more."""
        return value.reshape(-1).view(self.torch.uint8).split(AT_ONCE)

    def is_tensor(self, value: Any) -> bool:
        """Whether it is a tensor."""
        return isinstance(value, self.torch.Tensor)

    def dtype_of(self, tensor: Any) -> str:
        """The element type's name in Python."""
        return str(tensor.dtype).rsplit(".", 1)[-1]

    def conversion(self, dtype: str) -> str:
        """What to write to get this element type."""
        return f"convert it: .to(torch.{dtype})"

    def strides_of(self, value: Any) -> Optional[List[int]]:
        """Elements from one index to the next in every dimension."""
        return list(value.stride()) if self.is_tensor(value) else None

    def store(self, view: Any, value: Any) -> None:
        """Writes the value over the buffer, whatever its strides."""
        with self.torch.no_grad():
            if self.is_tensor(value):
                view.copy_(value)
            else:
                view.fill_(value)


def overwritten(cache: int) -> int:
    """Bytes that are overwritten before a timed call on a GPU with a cache of so many."""
    return max(2 * cache, OVERWRITTEN)


def as_list(result: Any) -> List[Any]:
    """The outputs, whether there is one or a tuple of them."""
    return list(result) if isinstance(result, (tuple, list)) else [result]


def store(tensors: Any, buffers: Sequence[Buffer], views: Sequence[Any], values: Sequence[Any], giver: str) -> None:
    """Writes the values that `giver` gave to the buffers, after checking that they are what the problem says."""
    if len(values) != len(buffers):
        given = "1 tensor" if len(values) == 1 else f"{len(values)} tensors"
        raise Refusal(
            "wrong-count",
            f"{giver} returned {given}, the problem has {len(buffers)}",
            "return a tuple with one tensor for each output, in the problem's order",
            expected=len(buffers),
            found=len(values),
        )
    checked = [_checked(tensors, buffer, value, giver) for buffer, value in zip(buffers, values)]
    for view, value in zip(views, checked):
        tensors.store(view, value)


#: What else is to be done about a shape.
_SHAPES = {CANDIDATE: "return what the reference returns: the same shape, for every seed"}


def _is_value_of(dtype: str, value: Union[bool, int, float]) -> bool:
    """Whether storing the number keeps it; floating-point types round, and that is what they are for."""
    if dtype not in INTEGERS:
        return True
    if isinstance(value, float) and not value.is_integer():
        return False
    low, high = INTEGERS[dtype]
    return low <= value <= high


def _checked(tensors: Any, buffer: Buffer, value: Any, giver: str) -> Any:
    if isinstance(value, (bool, int, float)) and buffer.shape == () and not tensors.is_tensor(value):
        # A plain Python number has no element type of its own, but it has to be one of the buffer's values.
        if not _is_value_of(buffer.dtype, value):
            raise Refusal(
                "wrong-dtype",
                f"{giver} returned {value} for `{buffer.name}`, which {buffer.dtype} cannot hold",
                "return a value of the output's type, or give the output another type",
                output=buffer.name,
                expected=buffer.dtype,
                found=type(value).__name__,
            )
        return value
    if not tensors.is_tensor(value):
        raise Refusal(
            "not-a-tensor",
            f"{giver} returned {type(value).__name__} for `{buffer.name}`, which is no tensor",
            "return a tensor for each output, in the problem's order",
            output=buffer.name,
        )
    shape = tuple(value.shape)
    if shape != buffer.shape:
        raise Refusal(
            "wrong-shape",
            f"{giver} returned shape {list(shape)} for `{buffer.name}`, the problem says {list(buffer.shape)}",
            _SHAPES.get(giver, "the reference and the `outputs` of the problem have to agree, for every workload"),
            output=buffer.name,
            expected=list(buffer.shape),
            found=list(shape),
        )
    dtype = tensors.dtype_of(value)
    if dtype != DTYPES[buffer.dtype]:
        found = NAMES.get(dtype, dtype)
        raise Refusal(
            "wrong-dtype",
            f"{giver} returned {found} for `{buffer.name}`, the problem says {buffer.dtype}",
            tensors.conversion(DTYPES[buffer.dtype]),
            output=buffer.name,
            expected=buffer.dtype,
            found=found,
        )
    return value
