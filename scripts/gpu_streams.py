"""The span of calls that use several streams, against events around each launch and against CUPTI; called by scripts/gpu_test.py."""

import ctypes
import glob
import pathlib
import statistics
import struct
import sys

STREAMS = pathlib.Path("tests/gpu/streams")
# What launches on streams of their own take together, by candidate.
TOGETHER = {"side-by-side": max, "in-turn": sum}
# As the candidates launch them: where in x and y each begins, and its steps. Each has 16 blocks of 128 threads.
PARTS = ((0, 65536), (2048, 262144), (4096, 65536))
BLOCKS, THREADS, ELEMENTS = 16, 128, 6144
# Steps of a kernel that all others wait for, so that they begin together however long each takes to be launched.
GATE = 131072
# How far spans may be apart.
BOUND = 0.05
# CUPTI's number for the activity of a kernel, and where in its record start and end are, in every version there is.
CONCURRENT_KERNEL, START = 10, 16


def streams(run) -> None:
    """A call takes as long as all its work on the device: the longest of what is side by side, the sum of what is in turn."""
    for name, together in TOGETHER.items():
        candidate = STREAMS / f"{name}.mlir"
        report = run.evaluate(candidate)
        if report is None:
            continue
        span = report["workloads"][0]["times"]["candidate"]["median_ns"]
        launches = clean_launches(run, candidate)
        used = len({launch["stream"] for launch in launches})
        row(run, f"streams/{name}: span / {together.__name__} of launches on {used} streams, by events", span, together, launches)
        cupti(run, candidate, name, span)


def clean_launches(run, candidate: pathlib.Path) -> list[dict]:
    """The launches of one call of the clean build, with the time between the events around each."""
    events = [event for event in run.events(candidate) if event["event"] == "launched" and event["build"] == "clean"]
    return [launch for event in events for launch in event["activity"]["launches"][: len(PARTS)] if launch.get("device_ns")]


def row(run, name: str, span: float, together, launches: list[dict]) -> None:
    if len(launches) != len(PARTS):
        run.row(name, f"{len(launches)} launches timed", f"1 +- {BOUND}", False)
        return
    ratio = span / together(launch["device_ns"] for launch in launches)
    run.row(name, f"{ratio:.3f}", f"1 +- {BOUND}", abs(ratio - 1) <= BOUND)


def cupti(run, candidate: pathlib.Path, name: str, span: float) -> None:
    """The same kernels as this script launches them, and CUPTI records them."""
    title = f"streams/{name}: span / span of the kernels' activity, by CUPTI"
    code, ptx, errors = run.kinstr("opt", candidate, "--target", f"cuda:{chip(run, candidate)}", "--emit", "ptx", timeout=60)
    if code:
        run.row(title, f"no PTX: exit {code}", f"1 +- {BOUND}", False, errors[-600:])
        return
    try:
        spans = observed(ptx, name, int(run.chosen.target.partition(":")[2] or 0))
    except Unusable as reason:
        run.row(title, f"no CUPTI: {reason}", f"1 +- {BOUND}", None)
        return
    ratio = span / statistics.median(spans)
    run.row(title, f"{ratio:.3f}", f"1 +- {BOUND}", abs(ratio - 1) <= BOUND)


def chip(run, candidate: pathlib.Path) -> str:
    found = [event["facts"]["chip"] for event in run.events(candidate) if event["event"] == "device"]
    return found[0] if found else "sm_90"


class Unusable(Exception):
    """CUPTI, or the driver, cannot be used."""


def observed(ptx: str, name: str, ordinal: int, calls: int = 5) -> list[float]:
    """From the first kernel's start to the last one's end as CUPTI saw it, in ns, in each of some calls behind a first."""
    watch = Activity()
    driver = Driver(ptx, ordinal)
    spans = []
    for _ in range(calls + 1):
        driver.call(name)
        gate, *kernels = sorted(watch.take()) or [None]
        if gate is None or len(kernels) != len(PARTS):
            raise Unusable(f"it saw {len(kernels)} of {len(PARTS)} kernels behind the first")
        spans.append(max(end for _, end in kernels) - min(start for start, _ in kernels))
    return spans[1:]


class Driver:
    """The candidates' launches, by the driver's own functions."""

    def __init__(self, ptx: str, ordinal: int) -> None:
        try:
            self.cuda = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise Unusable(str(error)) from error
        device, context, module = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self.do("cuInit", 0)
        self.do("cuDeviceGet", ctypes.byref(device), ordinal)
        self.do("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.do("cuCtxSetCurrent", context)
        self.do("cuModuleLoadData", ctypes.byref(module), ptx.encode())
        self.kernel = ctypes.c_void_p()
        self.do("cuModuleGetFunction", ctypes.byref(self.kernel), module, b"steps")
        self.memory = [ctypes.c_uint64(), ctypes.c_uint64()]
        for address in self.memory:
            self.do("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(4 * ELEMENTS))
            self.do("cuMemsetD32_v2", address, 0x3F800000, ctypes.c_size_t(ELEMENTS))
        self.gate, *self.streams = [ctypes.c_void_p() for _ in range(len(PARTS) + 1)]
        for stream in (self.gate, *self.streams):
            self.do("cuStreamCreate", ctypes.byref(stream), 1)
        self.open = ctypes.c_void_p()
        self.do("cuEventCreate", ctypes.byref(self.open), 2)

    def do(self, name: str, *arguments) -> None:
        code = getattr(self.cuda, name)(*arguments)
        if code:
            raise Unusable(f"{name} answers {code}")

    def call(self, name: str) -> None:
        self.launch(self.gate, 0, GATE)
        self.do("cuEventRecord", self.open, self.gate)
        for stream, (begin, steps) in zip(self.streams, PARTS):
            on = stream if name == "side-by-side" else self.streams[0]
            self.do("cuStreamWaitEvent", on, self.open, 0)
            self.launch(on, begin, steps)
        self.do("cuCtxSynchronize")

    def launch(self, stream: ctypes.c_void_p, begin: int, steps: int) -> None:
        vectors = [value for address in self.memory for value in self.memref(address)]
        values = [ctypes.c_uint64(value) for value in (*vectors, begin, steps)]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        self.do("cuLaunchKernel", self.kernel, BLOCKS, 1, 1, THREADS, 1, 1, 0, stream, pointers, None)

    @staticmethod
    def memref(address: ctypes.c_uint64) -> tuple[int, ...]:
        """Pointers, offset, size and stride, as MLIR hands a vector to a kernel."""
        return address.value, address.value, 0, ELEMENTS, 1


class Activity:
    """Starts and ends of kernels, as CUPTI records them."""

    def __init__(self) -> None:
        self.library = library()
        self.buffers: dict[int, ctypes.Array] = {}
        self.kernels: list[tuple[int, int]] = []
        requested = ctypes.CFUNCTYPE(None, *[ctypes.POINTER(kind) for kind in (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)])
        completed = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
        # Kept, because CUPTI calls them as long as the process lives.
        self.callbacks = requested(self.give), completed(self.take_back)
        self.do("cuptiActivityRegisterCallbacks", *self.callbacks)
        self.do("cuptiActivityEnable", CONCURRENT_KERNEL)

    def do(self, name: str, *arguments) -> None:
        code = getattr(self.library, name)(*arguments)
        if code:
            raise Unusable(f"{name} answers {code}")

    def give(self, buffer, size, records) -> None:
        memory = (ctypes.c_uint64 * (1 << 17))()
        self.buffers[ctypes.addressof(memory)] = memory
        buffer[0], size[0], records[0] = ctypes.addressof(memory), ctypes.sizeof(memory), 0

    def take_back(self, _context, _stream, buffer, _size, valid) -> None:
        record = ctypes.c_void_p()
        while valid and self.library.cuptiActivityGetNextRecord(ctypes.c_void_p(buffer), ctypes.c_size_t(valid), ctypes.byref(record)) == 0:
            if struct.unpack("I", ctypes.string_at(record.value, 4))[0] == CONCURRENT_KERNEL:
                self.kernels.append(struct.unpack("QQ", ctypes.string_at(record.value + START, 16)))
        self.buffers.pop(buffer, None)

    def take(self) -> list[tuple[int, int]]:
        """The kernels since the last time."""
        self.do("cuptiActivityFlushAll", 1)
        kernels, self.kernels = self.kernels, []
        return kernels


def library() -> ctypes.CDLL:
    """CUPTI, from the system, the toolkit, or PyTorch's packages."""
    packages = [f"{path}/nvidia/**/lib/libcupti.so*" for path in sys.path if path]
    patterns = ["/usr/local/cuda*/lib64/libcupti.so*", "/usr/local/cuda*/extras/CUPTI/lib64/libcupti.so*", *packages]
    found = [path for pattern in patterns for path in sorted(glob.glob(pattern, recursive=True))]
    why = "no libcupti is there"
    for path in ["libcupti.so", *found]:
        try:
            return ctypes.CDLL(path)
        except OSError as error:
            why = str(error)
    raise Unusable(why)
