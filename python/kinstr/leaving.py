"""What a process gives up before it runs a candidate. A compiled candidate's worker does the same in `runtime/`."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Any, Dict, List, Optional, Sequence

#: Of `seccomp(2)`: install a filter, for all threads.
SET_MODE_FILTER, ALL_THREADS = 1, 1


#: Of `landlock(7)`: its system calls, the kind of rule for what is beneath a path, and the `prctl(2)` it asks for first.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, PATH_BENEATH, NO_NEW_PRIVILEGES = 444, 445, 446, 1, 38


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


class _Beneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = [("rights", ctypes.c_uint64), ("directory", ctypes.c_int)]


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


def write_only_in(places: List[str], rights: Sequence[int]) -> bool:
    """Forbids the calling thread, and those it starts, to write anywhere else. `rights` are those of Landlock that writing
    takes, on directories and on files. What a driver needed when it started is given up by this."""
    libc = ctypes.CDLL(None, use_errno=True)
    handled = ctypes.c_uint64(rights[0])
    rules = libc.syscall(CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    if rules < 0:
        return False
    for place in places:
        directory = os.open(place, os.O_PATH | os.O_CLOEXEC)
        beneath = _Beneath(rights[0] if os.path.isdir(place) else rights[1], directory)
        added = libc.syscall(ADD_RULE, rules, PATH_BENEATH, ctypes.byref(beneath), 0)
        os.close(directory)
        if added != 0:
            return False
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    restricted = bool(libc.syscall(RESTRICT_SELF, rules, 0) == 0)
    os.close(rules)
    return restricted
