"""What a process gives up before it runs a candidate. A compiled candidate's worker does the same in `runtime/`."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Any, Dict, Optional, Sequence

#: Of `seccomp(2)`: install a filter, for all threads.
SET_MODE_FILTER, ALL_THREADS = 1, 1


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def bind_to(cores: Sequence[int]) -> bool:
    """Runs on these cores from now on; all that are there, if none is named."""
    try:
        if cores:
            os.sched_setaffinity(0, cores)
    except OSError:
        return False
    return True


def limit_memory(memory: Optional[int]) -> bool:
    """Lets the process have `memory` bytes beyond what it has now; PyTorch alone reserves gigabytes."""
    if memory is None:
        return True
    try:
        limit = _address_space() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (OSError, ValueError):
        return False
    return True


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def forbid(filter: Optional[Dict[str, Any]]) -> bool:
    """Installs a filter of system calls: `program` in hexadecimal, through the system call `number`."""
    if filter is None:
        return False
    program = bytes.fromhex(filter["program"])
    described = _Program(len(program) // 8, program)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(filter["number"], SET_MODE_FILTER, ALL_THREADS, ctypes.byref(described)) == 0)
