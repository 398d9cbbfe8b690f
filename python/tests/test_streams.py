"""Streams of a GPU, with a driver that is none."""

import types
import unittest

from kinstr.streams import AllStreams
from kinstr.tensors import TorchTensors


def driver(context=7, made=0, recorded=0, waits=0):
    """One that notes what it is asked."""
    asked = []

    def current(pointer):
        pointer._obj.value = context
        return 0

    def record(*_):
        asked.append("record")
        return recorded

    def wait(stream, _event, flags):
        asked.append(("wait", stream.value, flags))
        return waits

    return types.SimpleNamespace(
        cuCtxGetCurrent=current, cuEventCreate=lambda *_: made, cuCtxRecordEvent=record, cuStreamWaitEvent=wait, asked=asked
    )


class AllStreamsTest(unittest.TestCase):
    def test_a_stream_waits_for_what_the_context_was_given(self):
        fake = driver()
        self.assertTrue(AllStreams(fake).join(42))
        self.assertEqual(fake.asked, ["record", ("wait", 42, 0)])

    def test_a_driver_that_cannot_is_not_relied_on(self):
        self.assertFalse(AllStreams(driver(context=None)).join(0))
        self.assertFalse(AllStreams(driver(made=2)).join(0))
        self.assertFalse(AllStreams(driver(waits=400)).join(0))
        old = driver()
        del old.cuCtxRecordEvent
        self.assertFalse(AllStreams(old).join(0))
        capturing = driver(recorded=900)
        self.assertFalse(AllStreams(capturing).join(0))
        self.assertEqual(capturing.asked, ["record"])


class Device:
    """A GPU's clock in ms, and waits of the host in ns, in place of PyTorch."""

    def __init__(self, beyond_us=0.0, waits_us=(5, 5), joins=True):
        self.beyond, self.waits, self.noted = beyond_us, list(waits_us), []
        current = types.SimpleNamespace(cuda_stream=0)
        self.tensors = TorchTensors.__new__(TorchTensors)
        self.tensors.device = "cuda"
        self.tensors.torch = types.SimpleNamespace(cuda=types.SimpleNamespace(current_stream=lambda _device: current))
        self.tensors._streams = types.SimpleNamespace(join=lambda _stream: joins)
        self.tensors._waiting = lambda: 1000 * self.waits.pop(0)

    def microseconds(self):
        return self.tensors._timed([Event(self) for _ in range(3)], self.noted.extend, ["call"]) / 1e3


class Event:
    """The call takes 40 microseconds between the first event and the second."""

    def __init__(self, device):
        self.device = device

    def record(self):
        self.device.noted.append(self)

    def synchronize(self):
        pass

    def elapsed_time(self, other):
        first, last = self.device.noted.index(self), self.device.noted.index(other)
        return {(0, 2): 40, (2, 3): self.device.beyond}[first, last] / 1e3


class TimedTest(unittest.TestCase):
    def test_work_of_other_streams_counts_by_the_device_s_clock(self):
        self.assertAlmostEqual(Device().microseconds(), 40)
        self.assertAlmostEqual(Device(beyond_us=400).microseconds(), 440)

    def test_pauses_of_the_host_are_no_work_and_what_is_launched_later_is(self):
        self.assertAlmostEqual(Device(waits_us=(60, 10)).microseconds(), 40)
        self.assertAlmostEqual(Device(waits_us=(505, 5)).microseconds(), 540)

    def test_without_the_device_s_clock_the_host_s_counts(self):
        self.assertAlmostEqual(Device(waits_us=(60, 5), joins=False).microseconds(), 95)
        self.assertAlmostEqual(Device(waits_us=(25, 5), joins=False).microseconds(), 40)
        # A second wait that takes long does not undo the first.
        self.assertAlmostEqual(Device(waits_us=(500, 500), joins=False).microseconds(), 510)
