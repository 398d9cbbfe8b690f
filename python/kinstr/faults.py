"""What an exception says of a GPU, whose errors are told in words alone."""

from __future__ import annotations

from typing import Optional, Tuple

#: Words of the driver or of Triton, the kind of fault they mean, and what to do about it. The first that is found counts.
_BOUNDS = "check the bounds of every program or thread, above all in the last block: does each load and store have a mask?"
_WORDS: Tuple[Tuple[str, str, str], ...] = (
    ("illegal memory access", "illegal-address", _BOUNDS),
    ("operation not supported on global/shared address space", "illegal-address", _BOUNDS),
    ("misaligned address", "misaligned-address", "a vector access needs an address that is a multiple of its width"),
    ("out of resource", "launch-failed", "smaller blocks or fewer stages fit into an SM"),
    ("too many resources requested", "launch-failed", "smaller blocks or fewer registers fit into an SM"),
    ("invalid configuration argument", "launch-failed", "check grid and block against the device's limits"),
    ("invalid argument", "launch-failed", "check grid, block and shared memory against the device's limits"),
    ("no kernel image", "wrong-compute-capability", "compile it for the device that it runs on"),
    ("out of memory", "out-of-device-memory", "is what it allocates freed on every call? --memory gives it more"),
    ("device-side assert", "kernel-trapped", "an assertion in a kernel, or an index out of range, ended it"),
    ("unspecified launch failure", "kernel-trapped", "a kernel ran out of its memory or of its stack"),
    ("illegal instruction", "kernel-trapped", "was it compiled for another device?"),
    ("hardware stack error", "kernel-trapped", "a kernel ran out of its stack"),
    ("uncorrectable", "device-lost", "`nvidia-smi` says how the device is"),
    ("unknown error", "device-lost", "`nvidia-smi` says how the device is"),
    ("device(s) is/are busy", "device-lost", "another process has the device to itself"),
    ("no CUDA-capable device", "device-lost", "`nvidia-smi` says how the device is"),
)

#: How texts that are about a GPU begin, or what stands in them.
_OF_A_DEVICE = ("CUDA error", "CUDA driver error", "Triton Error [CUDA]", "CUDA out of memory", "out of resource")


def device_fault(error: BaseException) -> Optional[Tuple[str, str, str]]:
    """Kind, words and advice, if the error is one of a GPU's."""
    text = str(error)
    if not any(words in text for words in _OF_A_DEVICE):
        return None
    found = next((fault for fault in _WORDS if fault[0] in text), None)
    if found is None:
        return None
    # What follows is about environment variables, or the allocator's state.
    return found[1], text.splitlines()[0].strip(), found[2]
