"""The host, spoken to as kinstr speaks to it: JSON lines, with tensors in a memory file."""

import importlib.util
import json
import os
import struct
import subprocess
import sys
import tempfile
import textwrap
import unittest

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = 4096
needs_torch = unittest.skipUnless(importlib.util.find_spec("torch"), "PyTorch is not installed")


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


class HostTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.memory = os.memfd_create("arena")
        self.addCleanup(os.close, self.memory)
        os.ftruncate(self.memory, 4 * PAGE)
        read_end, write_end = os.pipe()
        memory = self.memory

        def place_descriptors():
            os.dup2(write_end, 100)
            os.dup2(memory, 101)
            os.dup2(100, 3)
            os.dup2(101, 4)

        self.process = subprocess.Popen(
            [sys.executable, "-m", "kinstr.host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": PACKAGE},
            preexec_fn=place_descriptors,
            close_fds=False,
            text=True,
        )
        os.close(write_end)
        self.replies = os.fdopen(read_end)
        self.addCleanup(self.end)

    def end(self):
        self.printed, self.complained = self.process.communicate(timeout=60)
        self.replies.close()

    def ask(self, op, **fields):
        self.process.stdin.write(json.dumps({"op": op, "nonce": op + "-1", **fields}) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.replies.readline())
        self.assertEqual(reply.pop("nonce"), op + "-1")
        return reply

    def done(self, op, **fields):
        reply = self.ask(op, **fields)
        self.assertIn("ok", reply, reply)
        return reply["ok"]

    def refused(self, op, kind, **fields):
        reply = self.ask(op, **fields)
        self.assertIn("error", reply, reply)
        self.assertEqual(reply["error"]["kind"], kind, reply)
        return reply["error"]

    def write(self, text, name="reference.py"):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))
        return path

    def load(self, text):
        return self.done("load", path=self.write(text), function="run")

    def bind(self, outputs=1, dtype="f32", shape=(2,)):
        """Input `x` in the first page, then one page for each output."""
        x = {"name": "x", "role": "input", "offset": 0, "dtype": "f32", "shape": [2]}
        ys = [
            {"name": f"y{i}", "role": "output", "offset": PAGE * (i + 1), "dtype": dtype, "shape": list(shape)}
            for i in range(outputs)
        ]
        self.done("bind", fd=4, buffers=[x] + ys)

    def put(self, *values):
        os.pwrite(self.memory, floats(*values), 0)
        self.done("take")

    def output(self, position=0, count=2):
        return struct.unpack(f"<{count}f", os.pread(self.memory, 4 * count, PAGE * (position + 1)))


class NumpyReference(HostTest):
    def test_outputs_land_in_the_arena(self):
        loaded = self.load("import numpy as np\ndef run(x):\n    return x * np.float32(2)\n")
        self.assertEqual((loaded["kind"], loaded["threads"]), ("numpy", 1))
        self.bind()
        self.put(1.5, -2.0)
        self.done("run", calls=3, store=True)
        self.assertEqual(self.output(), (3.0, -4.0))

    def test_without_store_nothing_is_written(self):
        self.load("def run(x):\n    return x * 2\n")
        self.bind()
        self.put(1.0, 2.0)
        self.done("run", calls=2, store=False)
        self.done("run", calls=0, store=False)
        self.assertEqual(self.output(), (0.0, 0.0))

    def test_strided_results_and_tuples(self):
        self.load("import numpy as np\ndef run(x):\n    return x[::-1], np.repeat(x, 2)[::2]\n")
        self.bind(outputs=2)
        self.put(1.0, 2.0)
        self.done("run", calls=1, store=True)
        self.assertEqual((self.output(0), self.output(1)), ((2.0, 1.0), (1.0, 2.0)))

    def test_scalars(self):
        self.load("def run(x):\n    return x.sum()\n")
        self.bind(shape=())
        self.put(1.0, 2.0)
        self.done("run", calls=1, store=True)
        self.assertEqual(self.output(count=1), (3.0,))

    def test_inputs_are_taken_not_watched(self):
        self.load("def run(x):\n    return x + 0\n")
        self.bind()
        self.put(1.0, 2.0)
        os.pwrite(self.memory, floats(9.0, 9.0), 0)
        reply = self.ask("run", calls=1, store=True)
        self.assertEqual(self.output(), (1.0, 2.0))
        self.assertEqual(reply["error"]["kind"], "changes-input")

    def test_prints_go_to_standard_error(self):
        self.load("import sys\nprint('hello')\ndef run(x):\n    print('again')\n    return x + sys.stdin.read().count('a')\n")
        self.bind(dtype="f64")
        self.put(1.0, 2.0)
        self.refused("run", "wrong-dtype", calls=1, store=True)
        self.end()
        self.assertEqual(self.printed, "")
        self.assertIn("hello\nagain\n", self.complained)

    def end(self):
        if self.process.returncode is None:
            super().end()


class BadReferences(HostTest):
    def test_what_it_raises_is_placed_in_the_users_file(self):
        self.load("def run(x):\n    return helper(x)\ndef helper(x):\n    return x.reshape(3)\n")
        self.bind()
        self.put(1.0, 2.0)
        error = self.refused("run", "raised", calls=1, store=True)
        self.assertEqual((error["exception"], error["line"]), ("ValueError", 4))
        self.assertTrue(error["file"].endswith("reference.py"))

    def test_writing_to_an_input_is_refused_at_its_line(self):
        self.load("def run(x):\n    x[0] = 1\n    return x\n")
        self.bind()
        self.put(1.0, 2.0)
        self.assertEqual(self.refused("run", "raised", calls=1, store=True)["line"], 2)

    def test_wrong_shape_count_and_type(self):
        cases = [
            ("return x[:1]", "wrong-shape"),
            ("return x, x", "wrong-count"),
            ("return x.astype('float64')", "wrong-dtype"),
            ("return 'x'", "not-a-tensor"),
            ("return None", "not-a-tensor"),
        ]
        for body, kind in cases:
            with self.subTest(body):
                self.load(f"def run(x):\n    {body}\n")
                self.bind()
                self.put(1.0, 2.0)
                self.refused("run", kind, calls=1, store=True)
                self.assertEqual(self.output(), (0.0, 0.0))

    def test_a_plain_number_has_to_fit_its_output(self):
        cases = [("i32", "3.7"), ("u8", "256"), ("u8", "-1"), ("bool", "2"), ("i64", "float('nan')")]
        for dtype, value in cases:
            with self.subTest(dtype):
                self.load(f"def run(x):\n    return {value}\n")
                self.bind(dtype=dtype, shape=())
                self.put(1.0, 2.0)
                self.refused("run", "wrong-dtype", calls=1, store=True)
        self.load("def run(x):\n    return 3.0\n")
        self.bind(dtype="i32", shape=())
        self.put(1.0, 2.0)
        self.done("run", calls=1, store=True)
        self.assertEqual(os.pread(self.memory, 4, PAGE), b"\x03\0\0\0")

    def test_syntax_error(self):
        path = self.write("import numpy\ndef run(x:\n    pass\n")
        error = self.refused("load", "raised", path=path, function="run")
        self.assertEqual((error["exception"], error["line"]), ("SyntaxError", 2))

    def test_exit_on_import_does_not_end_the_host(self):
        path = self.write("import sys\nsys.exit(3)\n")
        error = self.refused("load", "raised", path=path, function="run")
        self.assertEqual((error["exception"], error["line"]), ("SystemExit", 2))

    def test_missing_function_names_those_there(self):
        path = self.write("from math import sqrt\ndef ran(x):\n    return x\n")
        error = self.refused("load", "no-function", path=path, function="run")
        self.assertEqual(error["hint"], "it defines `ran`")

    def test_missing_module(self):
        path = self.write("import no_such_module_anywhere\n")
        error = self.refused("load", "missing-module", path=path, function="run")
        self.assertEqual((error["module"], error["line"]), ("no_such_module_anywhere", 1))

    def test_missing_file(self):
        self.refused("load", "unreadable", path=os.path.join(self.folder.name, "none.py"), function="run")

    def test_describe_is_for_kernelbench(self):
        self.load("def run(x):\n    return x\n")
        self.refused("describe", "not-kernelbench", seed=1)

    def test_numpy_has_no_bf16(self):
        self.load("def run(x):\n    return x\n")
        buffer = {"name": "x", "role": "input", "offset": 0, "dtype": "bf16", "shape": [2]}
        self.refused("bind", "unsupported", fd=4, buffers=[buffer])


KERNELBENCH = """
    import torch
    import torch.nn as nn

    class Model(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.linear = nn.Linear(2, width)

        def forward(self, x):
            return self.linear(x)

    def get_inputs():
        return [torch.randn(3, 2)]

    def get_init_inputs():
        return [4]
"""


@needs_torch
class TorchReference(HostTest):
    def test_bf16_and_gradients(self):
        self.load("import torch\nw = torch.ones(2, requires_grad=True)\ndef run(x):\n    return (x * w).to(torch.bfloat16)\n")
        self.bind(dtype="bf16")
        self.put(1.0, -2.0)
        self.done("run", calls=1, store=True)
        self.assertEqual(os.pread(self.memory, 4, PAGE), b"\x80\x3f\x00\xc0")

    def test_changing_an_input_is_refused(self):
        self.load("import torch\ndef run(x):\n    return x.add_(1)\n")
        self.bind()
        self.put(1.0, 2.0)
        self.refused("run", "changes-input", calls=1, store=True)

    def kernelbench(self):
        loaded = self.load(KERNELBENCH)
        self.assertEqual(loaded["kind"], "kernelbench")
        return self.done("describe", seed=1)

    def test_kernelbench_describes_inputs_state_and_outputs(self):
        described = self.kernelbench()
        self.assertEqual(described["inputs"], [{"name": "x", "dtype": "f32", "shape": [3, 2]}])
        self.assertEqual([s["name"] for s in described["state"]], ["linear.weight", "linear.bias"])
        self.assertEqual(described["outputs"], [{"name": "output", "dtype": "f32", "shape": [3, 4]}])

    def test_kernelbench_inputs_come_from_the_seed_and_outputs_from_the_arena(self):
        described = self.kernelbench()
        buffers, offset = [], 0
        for role, tensors in [("input", described["inputs"] + described["state"]), ("output", described["outputs"])]:
            for tensor in tensors:
                buffers.append({"role": role, "offset": offset, **tensor})
                offset += 256
        self.done("bind", fd=4, buffers=buffers)
        contents = []
        for seed in (1, 2, 1):
            self.done("fill", seed=seed)
            contents.append(os.pread(self.memory, 768, 0))
        self.assertEqual(contents[0], contents[2])
        self.assertNotEqual(contents[0], contents[1])
        self.assertNotEqual(contents[0][256:288], contents[1][256:288], "weights come from the seed as well")
        os.pwrite(self.memory, floats(*[1.0] * 8), 256)
        os.pwrite(self.memory, floats(0.0, 1.0, 2.0, 3.0), 512)
        os.pwrite(self.memory, floats(*[0.5] * 6), 0)
        self.done("take")
        self.done("run", calls=1, store=True)
        outputs = struct.unpack("<12f", os.pread(self.memory, 48, 768))
        self.assertEqual(outputs, (1.0, 2.0, 3.0, 4.0) * 3)

    def test_kernelbench_draws_inputs_apart_from_weights(self):
        text = KERNELBENCH.replace("self.linear = nn.Linear(2, width)", "self.w = nn.Parameter(torch.randn(3, 2))")
        self.load(text.replace("self.linear(x)", "x * self.w"))
        described = self.done("describe", seed=1)
        tensors = described["inputs"] + described["state"]
        self.assertEqual([tensor["name"] for tensor in tensors], ["x", "w"])
        buffers = [{"role": "input", "offset": 64 * index, **tensor} for index, tensor in enumerate(tensors)]
        self.done("bind", fd=4, buffers=buffers)
        for seed in (1, (1 << 64) - 1):
            self.done("fill", seed=seed)
            contents = os.pread(self.memory, 128, 0)
            self.assertNotEqual(contents[:24], contents[64:88])

    def test_kernelbench_takes_tensors_only(self):
        self.load(KERNELBENCH.replace("[torch.randn(3, 2)]", "[torch.randn(3, 2), 5]"))
        self.refused("describe", "unsupported", seed=1)


if __name__ == "__main__":
    unittest.main()
