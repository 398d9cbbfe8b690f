"""All streams of a GPU's context: PyTorch knows those that it made, and a candidate may have made others."""

from __future__ import annotations

import ctypes
from typing import Any, Optional

#: `CU_EVENT_DISABLE_TIMING` of the driver's interface: an event to wait for, and nothing else.
WITHOUT_TIME = 2


def opened() -> Optional[Any]:
    """The driver, if there is one."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


class AllStreams:
    """Makes a stream wait for what all the others were given, on the device and so without the host's clock."""

    def __init__(self, driver: Optional[Any] = None) -> None:
        self._driver = driver or opened()
        self._context, self._event = ctypes.c_void_p(), ctypes.c_void_p()
        # From CUDA 12.5 on. An older driver knows streams one by one only.
        usable = self._driver is not None and hasattr(self._driver, "cuCtxRecordEvent") and self._made()
        self._usable = bool(usable)

    def _made(self) -> bool:
        """Whether there is a context, with an event that is kept as long as it is."""
        driver = self._driver
        if driver.cuCtxGetCurrent(ctypes.byref(self._context)) != 0 or not self._context:
            return False
        return bool(driver.cuEventCreate(ctypes.byref(self._event), WITHOUT_TIME) == 0)

    def join(self, stream: int) -> bool:
        """Makes `stream`, by its address, wait for all that its context was given so far; whether the driver could."""
        driver = self._driver
        return (
            self._usable
            and driver.cuCtxRecordEvent(self._context, self._event) == 0
            and driver.cuStreamWaitEvent(ctypes.c_void_p(stream), self._event, 0) == 0
        )
