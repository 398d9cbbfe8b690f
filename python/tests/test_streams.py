"""Streams of a GPU, with a driver that is none."""

import types
import unittest

from kinstr.streams import AllStreams


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
