"""What is written down of a call's launches, with a stand-in for Triton's compiled kernels: no GPU is needed."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import weakref
from collections import namedtuple
from types import SimpleNamespace
from typing import Any, Dict
from unittest import mock

from kinstr.launches import Launches, scalar
from kinstr.refusal import Refusal
from kinstr.tensors import TorchTensors

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
Metadata = namedtuple("Metadata", "num_warps num_ctas shared global_scratch_size target")


class CompiledKernel:
    """As Triton's, as far as launching goes; what it does is a function of its arguments."""

    def __init__(self, name: str, signature: Dict[str, str], does: Any, **metadata: Any) -> None:
        fields: Dict[str, Any] = {"num_warps": 4, "num_ctas": 1, "shared": 64, "global_scratch_size": 0}
        self.metadata = Metadata(**{**fields, **metadata}, target=SimpleNamespace(arch=90))
        self.name, self.does = name, does
        self.src = SimpleNamespace(signature=signature)
        self.asm = {"llir": "llvm ir", "ptx": "ptx"}

    @property
    def run(self) -> Any:
        return lambda x, y, z, *others: self.does(*others[6:])

    def launch(self, *arguments: Any) -> None:
        self.run(2, 1, 1, *[None] * 6, *arguments)


class LaunchesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.tensors = TorchTensors()
        self.torch = self.tensors.torch

    def noted(self, call: Any, inputs: Dict[int, Any], state: Any = None) -> Dict[str, Any]:
        launches = Launches(self.tensors, inputs, state)
        with mock.patch("triton.compiler.CompiledKernel", CompiledKernel):
            results = launches.watch(call)
        launches.know_outputs(results)
        with tempfile.TemporaryDirectory() as folder:
            launches.write(folder)
            with open(os.path.join(folder, "launches.json"), encoding="utf-8") as file:
                told: Dict[str, Any] = json.load(file)
            told["files"] = {}
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), "rb") as content:
                    told["files"][name] = content.read()
        return told

    def test_memory_is_told_apart_by_where_it_comes_from(self) -> None:
        torch = self.torch
        x, table = torch.arange(4.0), torch.tensor([2.0, 3.0, 4.0, 5.0])

        def does(x: Any, table: Any, total: Any, y: Any, n: int, block: int) -> None:
            total += x.sum()
            y.copy_(x * table)

        kernel = CompiledKernel(
            "k", {"x": "*fp32", "t": "*fp32", "s": "*fp32", "y": "*fp32", "n": "i32", "B": "constexpr"}, does
        )

        def call() -> Any:
            y, total = torch.empty_like(x), torch.zeros(1)
            for _ in range(2):
                kernel.launch(x, table, total, y, 4, 16)
            return [y]

        told = self.noted(call, {0: x})
        shown = [{key: memory[key] for key in ("bytes", "input", "output", "content", "changed")} for memory in told["memory"]]
        self.assertEqual(
            shown,
            [
                {"bytes": 16, "input": 0, "output": None, "content": False, "changed": False},
                {"bytes": 16, "input": None, "output": None, "content": True, "changed": False},
                {"bytes": 4, "input": None, "output": None, "content": True, "changed": True},
                {"bytes": 16, "input": None, "output": 0, "content": False, "changed": False},
            ],
        )
        self.assertEqual(told["files"]["memory-1"], struct.pack("<4f", 2, 3, 4, 5))
        self.assertEqual(told["files"]["memory-2"], struct.pack("<f", 0))
        self.assertEqual([kernel["name"] for kernel in told["kernels"]], ["k"])
        self.assertEqual(len(told["launches"]), 2)
        launch = told["launches"][0]
        self.assertEqual((launch["kernel"], launch["grid"], launch["threads"], launch["shared"]), (0, [2, 1, 1], 128, 64))
        # The arguments without constants, and no scratch memory.
        addresses = [{"memory": number, "offset": 0} for number in range(4)]
        null = {"bits": 64, "value": 0}
        self.assertEqual(launch["arguments"], [*addresses, {"bits": 32, "value": 4}, null, null])

    def test_views_are_places_in_what_they_are_views_of(self) -> None:
        x = self.torch.arange(8.0)
        kernel = CompiledKernel("k", {"x": "*fp32"}, lambda x: None)
        told = self.noted(lambda: kernel.launch(x[2:]) or [], {3: x})
        self.assertEqual(told["launches"][0]["arguments"][0], {"memory": 0, "offset": 8})
        self.assertEqual(told["memory"][0]["input"], 3)

    def test_what_pytorch_computes_is_content_and_what_it_only_allocates_is_not(self) -> None:
        torch = self.torch
        x = torch.arange(4.0)
        kernel = CompiledKernel("k", {"x": "*fp32", "y": "*fp32", "z": "*fp32"}, lambda x, y, z: None)

        def call() -> Any:
            filled = torch.empty(4)
            filled.fill_(7)
            kernel.launch(x * 2, filled, torch.empty(4).view(2, 2))
            return []

        told = self.noted(call, {0: x})
        self.assertEqual([memory["content"] for memory in told["memory"]], [True, True, False])
        self.assertEqual(told["others"], {"aten.fill_": 1, "aten.mul": 1})

    def test_what_is_in_destinations_does_not_matter(self) -> None:
        y = self.torch.full((4,), 7.0)
        kernel = CompiledKernel("k", {"y": "*fp32"}, lambda y: y.fill_(1))
        launches = Launches(self.tensors, {}, destinations=[y])
        with mock.patch("triton.compiler.CompiledKernel", CompiledKernel):
            launches.watch(lambda: kernel.launch(y))
        self.assertEqual([memory.content for memory in launches.memory.values()], [None])

    def test_scratch_memory_is_memory(self) -> None:
        kernel = CompiledKernel("k", {}, lambda: None, global_scratch_size=32)
        told = self.noted(lambda: kernel.launch() or [], {})
        self.assertEqual(told["launches"][0]["arguments"], [{"memory": 0, "offset": 0}, {"bits": 64, "value": 0}])
        self.assertEqual((told["memory"][0]["bytes"], told["memory"][0]["content"]), (64, False))

    def test_state_that_a_call_changes_is_what_it_was_before(self) -> None:
        torch = self.torch
        weights, sums, stale = torch.ones(2), torch.zeros(2), torch.full((2,), 5.0)
        state = {1: (weights, weights.clone()), 2: (sums, sums.clone()), 3: (stale, torch.zeros(2))}
        kernel = CompiledKernel("k", {"w": "*fp32", "s": "*fp32", "t": "*fp32"}, lambda w, s, t: s.add_(w))
        told = self.noted(lambda: kernel.launch(weights, sums, stale) or [], {}, state)
        shown = [(memory["input"], memory["content"], memory["changed"]) for memory in told["memory"]]
        self.assertEqual(shown, [(1, False, False), (None, True, True), (None, True, False)])
        self.assertEqual(told["files"]["memory-1"], struct.pack("<2f", 0, 0))
        self.assertEqual(told["files"]["memory-2"], struct.pack("<2f", 5, 5))

    def test_addresses_that_are_no_tensors_are_refused(self) -> None:
        x = self.torch.zeros(4)
        table = self.torch.tensor([x.data_ptr() + 4])
        for signature, argument in [({"t": "*i64"}, table), ({"t": "i64"}, x.data_ptr())]:
            kernel = CompiledKernel("k", {"x": "*fp32", **signature}, lambda x, t: None)
            with self.assertRaises(Refusal) as refused:
                self.noted(lambda kernel=kernel, argument=argument: kernel.launch(x, argument) or [], {0: x})
            self.assertIn("address", refused.exception.message)

    def test_a_call_is_not_disturbed_by_what_cannot_be_told(self) -> None:
        ran = []
        kernel = CompiledKernel("k", {"x": "*fp32"}, lambda x: ran.append(x), num_ctas=2)

        def call() -> Any:
            try:
                kernel.launch(self.torch.zeros(1))
            except Exception:
                ran.append("fallback")
            return []

        with self.assertRaises(Refusal):
            self.noted(call, {})
        self.assertEqual(len(ran), 1)
        self.assertNotIn("fallback", ran)

    def test_watching_does_not_import_what_compiles_models(self) -> None:
        # `torch._dynamo` takes a second, and five on a machine that has not read it yet.
        code = "import sys, torch\nfrom types import SimpleNamespace\nfrom kinstr.launches import Launches\n"
        code += "tensors = SimpleNamespace(torch=torch, finish=lambda: None, device=None)\n"
        code += "with Launches(tensors, {})._mode(): torch.empty(4).add_(1)\n"
        code += "sys.exit('torch._dynamo' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": PACKAGE}, check=False)
        self.assertEqual(done.returncode, 0)

    def test_memory_is_let_go(self) -> None:
        x = self.torch.zeros(4)
        launches = Launches(self.tensors, {0: x})
        with mock.patch("triton.compiler.CompiledKernel", CompiledKernel):
            launches.watch(lambda: [x * 2])
        made = weakref.ref(launches._kept[0])
        launches.forget()
        self.assertIsNone(made())

    def test_grids_of_other_integers_are_numbers_and_empty_ones_nothing(self) -> None:
        kernel = CompiledKernel("k", {"x": "*fp32"}, lambda x: None)
        x = self.torch.zeros(1)

        def call() -> Any:
            for grid in [self.torch.tensor(3), 0, -1]:
                kernel.run(grid, 1, 1, *[None] * 6, x)
            return []

        told = self.noted(call, {0: x})
        self.assertEqual([launch["grid"] for launch in told["launches"]], [[3, 1, 1]])

    def test_what_cannot_be_repeated_says_so(self) -> None:
        x = self.torch.zeros(1)
        clustered = CompiledKernel("k", {"x": "*fp32"}, lambda x: None, num_ctas=2)
        described = CompiledKernel("k", {"x": "tensordesc<fp32[8, 8]>"}, lambda x: None)
        address = CompiledKernel("k", {"x": "*fp32"}, lambda x: None)
        for kernel, argument in [(clustered, x), (described, x), (address, 4096)]:
            with self.assertRaises(Refusal) as refused:
                self.noted(lambda kernel=kernel, argument=argument: kernel.launch(argument), {})
            self.assertEqual(refused.exception.kind, "not-replayed")


class ScalarTest(unittest.TestCase):
    def test_numbers_are_the_bits_that_are_passed(self) -> None:
        self.assertEqual(scalar("i32", -1), {"bits": 32, "value": 0xFFFFFFFF})
        self.assertEqual(scalar("i1", True), {"bits": 8, "value": 1})
        self.assertEqual(scalar("u64", 1 << 63), {"bits": 64, "value": 1 << 63})
        self.assertEqual(scalar("fp32", 1.5), {"bits": 32, "value": 0x3FC00000})
        self.assertEqual(scalar("fp16", 1.0), {"bits": 16, "value": 0x3C00})
        self.assertEqual(scalar("bf16", 1.0), {"bits": 16, "value": 0x3F80})
        self.assertEqual(scalar("fp32", -1e39), {"bits": 32, "value": 0xFF800000})
        self.assertEqual(scalar("fp16", 1e6), {"bits": 16, "value": 0x7C00})
        with self.assertRaises(Refusal):
            scalar("fp8e5", 1.0)


if __name__ == "__main__":
    unittest.main()
