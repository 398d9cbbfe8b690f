"""Loads, stores and flops of some examples, counted twice: by kinstr's block-count, and by stepping through the clean build one machine
instruction at a time. `count.py KINSTR` prints a line a kernel; scripts/bench.py holds the difference to a bound.

What is compared is what both can know. Loads and stores are bytes moved from and to memory other than the stack, where registers are spilled,
and the library itself, where constants are: both are code generation's affair. Flops are those of instructions on floating point numbers, a
fused multiply-add two, a minimum, maximum or comparison one, a test for NaN none, as kinstr counts them. A masked access counts whole on both sides, and
a call of memset, memcpy or memmove as the bytes that it is called with. Sizes are small,
because a step takes microseconds, and the kernels are ones whose work does not depend on what is in the tensors. The tiled transposition is
not among them: code generation loads parts of its lines twice.
"""

import ctypes
import dataclasses
import json
import mmap
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import tomllib

OBJDUMP = "/usr/lib/llvm-22/bin/llvm-objdump"
EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"
# Each with sizes at which it takes at most 200,000 steps.
KERNELS = {
    "01-softmax/three-pass.c": {"M": 4, "N": 4096},
    "01-softmax/three-pass.mlir": {"M": 4, "N": 4096},
    "02-matmul/ijk.mlir": {"N": 24},
    "02-matmul/tiled.mlir": {"N": 64},
    "03-layernorm/strict-sums.mlir": {"M": 4, "N": 2048},
    "04-gelu/vectorised.mlir": {"N": 16384},
    "05-row-sum/one-chain.c": {"M": 8, "N": 8192},
    "05-row-sum/one-chain.mlir": {"M": 8, "N": 8192},
    "06-stencil/columns-first.mlir": {"M": 64, "N": 128},
    "08-matvec/by-columns.mlir": {"M": 64, "N": 128},
    "08-matvec/by-rows.c": {"M": 8, "N": 16384},
    "08-matvec/by-rows.mlir": {"M": 8, "N": 16384},
    "09-transpose/naive.mlir": {"M": 128, "N": 128},
    "10-prefix-sum/blocked.mlir": {"N": 65536},
    "20-unit-vectors/divisions.mlir": {"N": 16384},
}
BYTES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16, "ymmword": 32, "zmmword": 64}
ELEMENT = {"f32": 4, "i32": 4, "f64": 8, "i64": 8}


# Seconds of calls in turns for a slowdown.
SLOWDOWN_SECONDS = 0.2

# Bytes loaded, bytes stored, floating point operations.
Counts = tuple[int, int, int]


# ---- kinstr's side


def by_kinstr(out: pathlib.Path) -> Counts:
    """Counters of the record file times the facts of the site table, for one call of the kernel."""
    sites = json.loads((out / "counting.sites.json").read_text())["sites"]
    records = (out / "counting-0.krec").read_bytes()
    stride, _, units = struct.unpack_from("<QII", records, 24)
    (launches,) = struct.unpack_from("<I", records, 60)
    loads = stores = flops = 0
    for site in sites:
        # After the header of 256 bytes, in each unit of `stride`: a header of 128, 32 a site, then the counters.
        place = 256 + 128 + 32 * len(sites) + 8 * site["id"]
        runs = sum(struct.unpack_from("<Q", records, place + stride * unit)[0] for unit in range(units))
        for line in site["lines"] if site["kind"] in ("block", "copy") else []:
            flops += runs * sum(fact["flops"] for fact in line.get("flops", []))
            for access in line.get("memory", []):
                moved = runs * access["bytes"]
                loads += moved if access["kind"] == "load" else 0
                stores += moved if access["kind"] == "store" else 0
    return loads // launches, stores // launches, flops // launches


# ---- the machine's side: what an instruction does

MEMORY = re.compile(r"(?:(\w+) ptr )?(?:\w+:)?\[([^\]]*)\]")
FUSED = re.compile(r"vf[n]?m(?:add|sub|addsub|subadd)(?:132|213|231)([sp][sd])$")
FLOAT = re.compile(r"v?(?:h?add|h?sub|mul|div|r?sqrt|rcp|min|max|cmp(?!unord|ord)\w*|u?comi)([sp][sd])$")
STORES = re.compile(r"(?:v?mov|vextract|v?pextr|vcompress|vpcompress|set|vscatter|vpscatter|stmxcsr)")
UPDATES = re.compile(r"(?:lock )?(?:add|sub|and|or|xor|inc|dec|neg|not|shl|shr|sar|adc|sbb)$")
READS = re.compile(r"(?:cmp|test|bt|v?u?comis[sd])$")
# Neither loads nor stores of data: addresses, hints, padding, and the stack.
NONE = re.compile(r"(?:lea|nop\w*|prefetch\w*|call|jmp|push|pop|ret)$")

# Functions of the C library that write as many bytes as their third argument says, and the register of where they read them.
COPIES = {"memset": None, "memcpy": "rsi", "memmove": "rsi"}


@dataclasses.dataclass
class Instruction:
    """What one execution does; `address` is the memory operand's terms, a register or number with its factor each."""

    flops: int
    loads: int
    stores: int
    address: list[tuple[str, int]]


def instruction(mnemonic: str, operands: str) -> Instruction:
    done = Instruction(flops(mnemonic, operands), 0, 0, [])
    found = MEMORY.search(operands)
    if not found or NONE.match(mnemonic):
        return done
    done.address = [term(text) for text in re.findall(r"[+-]?[^+-]+", found[2].replace(" ", ""))]
    size = moved(mnemonic, operands, found)
    first = operands.split(",")[0]
    if found[0] not in first:
        done.loads = size
    elif STORES.match(mnemonic):
        done.stores = size
    elif READS.match(mnemonic):
        done.loads = size
    elif UPDATES.match(mnemonic):
        done.loads = done.stores = size
    else:
        sys.exit(f"count.py does not know what `{mnemonic} {operands}` does to memory")
    return done


def moved(mnemonic: str, operands: str, found: re.Match) -> int:
    if re.match(r"vp?(gather|scatter)", mnemonic):
        # One element a lane, and as many lanes as the wider of data and indices has registers' room for.
        element = 8 if mnemonic.endswith(("pd", "q")) else 4
        index = 8 if re.match(r"vp?(gather|scatter)q", mnemonic) else 4
        width = max(BYTES[name + "word"] for name in re.findall(r"([xyz]mm)", operands))
        return element * (width // max(element, index))
    return BYTES[found[1]]


def flops(mnemonic: str, operands: str) -> int:
    fused, simple = FUSED.match(mnemonic), FLOAT.match(mnemonic)
    kind = (fused or simple)[1] if fused or simple else None
    if kind is None:
        return 0
    widths = [BYTES[name + "word"] for name in re.findall(r"([xyz]mm)", operands)]
    lanes = 1 if kind[0] == "s" else max(widths) // (4 if kind[1] == "s" else 8)
    return lanes * (2 if fused else 1)


def term(text: str) -> tuple[str, int]:
    sign, text = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    factor, _, register = text.rpartition("*")
    return register, sign * int(factor or "1", 0)


def disassemble(library: pathlib.Path) -> tuple[dict[int, Instruction], int, dict[int, str]]:
    """The instructions by their offset in the library, the entry's offset, and where the library calls which memory functions."""
    command = [OBJDUMP, "-d", "--no-show-raw-insn", "--x86-asm-syntax=intel", library]
    listing = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    entry = int(re.search(r"^([0-9a-f]+) <__kinstr_entry>:", listing, re.MULTILINE)[1], 16)
    lines = re.findall(r"^ *([0-9a-f]+):\s+((?:lock |rep\w* )?\S+)[ \t]*([^<#\n]*)", listing, re.MULTILINE)
    calls = {int(place, 16): name for place, name in re.findall(r"^([0-9a-f]+) <(\w+)@plt>:", listing, re.MULTILINE) if name in COPIES}
    return {int(place, 16): instruction(name, operands.strip()) for place, name, operands in lines}, entry, calls


# ---- the machine's side: stepping

TRACEME, POKE, CONTINUE, STEP, GET, SET = 0, 4, 7, 9, 12, 13
REGISTERS = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs".split()
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request: int, child: int, address: int = 0, data: object = 0) -> None:
    if libc.ptrace(request, child, address, data) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace request {request}")


class Stepper:
    """A child that is stopped at the entry of a library, and steps through it."""

    def __init__(self, library: pathlib.Path, arguments: ctypes.Array) -> None:
        self.registers = (ctypes.c_uint64 * len(REGISTERS))()
        entry = ctypes.CDLL(str(library))["__kinstr_entry"]
        self.entry = ctypes.cast(entry, ctypes.c_void_p).value
        self.child = os.fork()
        if self.child == 0:
            ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            entry(arguments)
            os._exit(0)
        self.wait()
        # A breakpoint (int3) at the entry, put back once it is reached.
        word = ctypes.c_uint64.from_address(self.entry).value
        ptrace(POKE, self.child, self.entry, word & ~0xFF | 0xCC)
        ptrace(CONTINUE, self.child)
        self.wait()
        ptrace(POKE, self.child, self.entry, word)
        self.read()
        self.registers[REGISTERS.index("rip")] = self.entry
        ptrace(SET, self.child, 0, ctypes.byref(self.registers))

    def wait(self) -> None:
        _, status = os.waitpid(self.child, 0)
        if not os.WIFSTOPPED(status) or os.WSTOPSIG(status) not in (signal.SIGSTOP, signal.SIGTRAP):
            sys.exit(f"count.py: the kernel ended with status {status} before its return")

    def read(self) -> None:
        ptrace(GET, self.child, 0, ctypes.byref(self.registers))

    def step(self) -> None:
        ptrace(STEP, self.child)
        self.wait()
        self.read()

    def get(self, register: str) -> int:
        return self.registers[REGISTERS.index(register)]

    def end(self) -> None:
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


def by_steps(library: pathlib.Path, arguments: ctypes.Array) -> Counts:
    code, entry, calls = disassemble(library)
    stepper = Stepper(library, arguments)
    base, top = stepper.entry - entry, stepper.get("rsp")
    left_out = mapped("[stack]") + mapped(str(library.resolve()))
    rip = REGISTERS.index("rip")
    loads = stores = flops = 0
    # The entry's return takes the stack pointer past where it was.
    while stepper.get("rsp") <= top:
        here = code.get(stepper.registers[rip] - base)
        if here:
            flops += here.flops
            if here.address and not within(left_out, effective(here.address, stepper)):
                loads += here.loads
                stores += here.stores
        if name := calls.get(stepper.registers[rip] - base):
            source, size = COPIES[name], stepper.get("rdx")
            stores += 0 if within(left_out, stepper.get("rdi")) else size
            loads += 0 if source is None or within(left_out, stepper.get(source)) else size
        stepper.step()
    stepper.end()
    return loads, stores, flops


def effective(terms: list[tuple[str, int]], stepper: Stepper) -> int:
    """The address, but for vectors of indices: a gather's base is enough to tell the stack from the rest."""
    total = 0
    for name, factor in terms:
        if name[0].isdigit():
            total += factor * int(name, 0)
        elif "mm" not in name:
            total += factor * stepper.get(name) if name in REGISTERS else 0
    return total & (1 << 64) - 1


def mapped(name: str) -> list[tuple[int, int]]:
    """Where `name` is mapped, here and so in the child."""
    lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
    found = [line.split()[0].split("-") for line in lines if line.endswith(" " + name)]
    return [(int(begin, 16), int(end, 16)) for begin, end in found]


def within(ranges: list[tuple[int, int]], place: int) -> bool:
    return any(begin <= place < end for begin, end in ranges)


def address(tensor: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(tensor))


# ---- both


def count(kinstr: str, kernel: str) -> tuple[Counts, Counts]:
    """What kinstr counts in one call of a kernel, and what the machine does."""
    candidate, sizes = EXAMPLES / kernel, KERNELS[kernel]
    folder = candidate.parent
    text = (folder / "problem.toml").read_text()
    axes = ", ".join(f"{axis} = {size}" for axis, size in sizes.items())
    with tempfile.TemporaryDirectory() as scratch:
        problem, out = pathlib.Path(scratch) / "problem.toml", pathlib.Path(scratch) / "out"
        problem.write_text(text.split("[[workloads]]")[0] + f"[[workloads]]\naxes = {{ {axes} }}\n")
        (problem.parent / "reference.py").write_text((folder / "reference.py").read_text())
        command = [kinstr, "eval", candidate, "--problem", problem, "--out", out]
        subprocess.run([*command, "--seeds", "1"], stdout=subprocess.DEVNULL, check=True)
        folder, given = built(candidate, out, 0)
        return by_kinstr(out), by_steps(folder / "clean.so", given)


def built(candidate: pathlib.Path, out: pathlib.Path, workload: int) -> tuple[pathlib.Path, ctypes.Array]:
    """The folder with the libraries that an evaluation in `out` made, and what their entries are called with: tensors of zeros."""
    problem = tomllib.loads((candidate.parent / "problem.toml").read_text())
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    digest = next(event["digest"] for event in events if event.get("stage") == "build" and event.get("digest"))
    loaded = next(event for event in events if event["event"] == "loaded")["workloads"][workload]
    sizes, buffers = loaded["axes"], loaded["buffers"]
    specs = problem["inputs"] | problem["outputs"]
    shapes = [[sizes.get(axis, axis) for axis in specs[buffer["name"]]["shape"]] for buffer in buffers]
    tensors = [memoryview(mmap.mmap(-1, max(buffer["bytes"], 1)))[: buffer["bytes"]] for buffer in buffers]
    variable = {axis: sizes[axis] for axis, size in problem["axes"].items() if size == "var"}
    words = memrefs(tensors, shapes) if candidate.suffix == ".mlir" else pointers(tensors, variable)
    return cache() / "artifacts" / digest[:2] / digest, arguments(words, tensors)


def slowdown(candidate: pathlib.Path, out: pathlib.Path) -> float:
    """How many times as long the counting build of an evaluation in `out` takes as the clean one, on its last workload; the least
    disturbed call of each."""
    folder, given = built(candidate, out, -1)
    entries = [ctypes.CDLL(str(folder / name))["__kinstr_entry"] for name in ("clean.so", "counting.so")]
    least = [float("inf")] * 2
    end = time.monotonic() + SLOWDOWN_SECONDS
    while time.monotonic() < end or float("inf") in least:
        for index, entry in enumerate(entries):
            begin = time.perf_counter_ns()
            entry(given)
            least[index] = min(least[index], time.perf_counter_ns() - begin)
    return least[1] / least[0]


def cache() -> pathlib.Path:
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return pathlib.Path(chosen if chosen.startswith("/") else os.path.expanduser("~/.cache")) / "kinstr"


def pointers(tensors: list[memoryview], sizes: dict[str, int]) -> list[list[int]]:
    """What the entry of a C candidate takes: addresses, then the sizes of the axes that vary."""
    return [[address(tensor)] for tensor in tensors] + [[size] for size in sizes.values()]


def memrefs(tensors: list[memoryview], shapes: list[list[int]]) -> list[list[int]]:
    """What the entry of an MLIR candidate takes: one descriptor a tensor."""
    descriptors = []
    for tensor, shape in zip(tensors, shapes, strict=True):
        strides = [1]
        for extent in reversed(shape[1:]):
            strides.insert(0, strides[0] * extent)
        descriptors.append([address(tensor), address(tensor), 0, *shape, *strides[: len(shape)]])
    return descriptors


def arguments(words: list[list[int]], tensors: list[memoryview]) -> ctypes.Array:
    """The array of addresses that an entry is called with; behind each are the words of one argument, which point into `tensors`."""
    storage = [(ctypes.c_int64 * len(one))(*one) for one in words]
    found = (ctypes.c_void_p * len(storage))(*(ctypes.addressof(one) for one in storage))
    # What is pointed to has to live as long as the pointers.
    found.storage = storage, tensors
    return found


def main() -> None:
    print(f"{'':34}{'loads':>20}{'stores':>20}{'flops':>20}\n{'':34}" + f"{'kinstr':>10}{'machine':>10}" * 3)
    for kernel in KERNELS:
        pairs = zip(*count(sys.argv[1], kernel), strict=True)
        print(f"{kernel:34}" + "".join(f"{ours:>10}{theirs:>10}" for ours, theirs in pairs), flush=True)


if __name__ == "__main__":
    main()
