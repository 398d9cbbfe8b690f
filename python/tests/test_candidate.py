"""The candidate's host, asked as kinstr asks it, in this process: importing PyTorch takes longer than all of it."""

import importlib.util
import os
import sys
import tempfile
import textwrap
import unittest
import unittest.mock

needs_torch = unittest.skipUnless(importlib.util.find_spec("torch"), "PyTorch is not installed")
if importlib.util.find_spec("torch"):
    import torch

    from kinstr import loading
    from kinstr.candidate import Candidate
    from kinstr.kernelbench import KernelBench
    from kinstr.plain import MOST_BYTES, from_plain, to_plain
    from kinstr.refusal import Refusal
    from kinstr.tensors import TorchTensors
    from kinstr.watch import repeated

needs_triton = unittest.skipUnless(importlib.util.find_spec("triton"), "Triton is not installed")
KERNEL = """import triton
import triton.language as tl

@triton.jit
def kernel(y, x, n):
    at = tl.arange(0, 8)
    tl.store(y + at, tl.load(x + at, mask=at < n) * 2, mask=at < n)
"""
BYTES = 4096
#: Files that lie here until the end keep their numbers.
KEPT = tempfile.TemporaryDirectory()
PROBLEM = """
import torch.nn as nn

class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        # Twice.
        y = self.linear(x)
        return y + y
"""
#: What is around the body of `forward`.
CANDIDATE = """
import torch
import torch.nn as nn

class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
"""


@needs_torch
class CandidateTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.memory = os.memfd_create("arena")
        self.addCleanup(os.close, self.memory)
        os.ftruncate(self.memory, BYTES)
        self.problem = self.write("problem.py", PROBLEM)
        # A hook cannot be taken off again, and would know another test's file by the number of this one's.
        hooks = unittest.mock.patch("sys.addaudithook")
        hooks.start()
        self.addCleanup(hooks.stop)

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))
        return path

    def started(self):
        """A host with `x` and the weights of a linear layer of width 2, and what the sum of both is to be."""
        names = [("x", "input", [3, 2]), ("linear.weight", "input", [2, 2]), ("linear.bias", "input", [2])]
        names.append(("y", "output", [3, 2]))
        buffers = [
            {"name": name, "role": role, "offset": 64 * index, "dtype": "f32", "shape": shape}
            for index, (name, role, shape) in enumerate(names)
        ]
        host = Candidate()
        workloads = [{"fd": self.memory, "buffers": buffers}] * 2
        request = {"workloads": workloads, "inputs": 1, "memory": None, "cores": []}
        self.done(host, "start", filter=None, writable=None, **request)
        for view in host.input_views + host.state_views:
            view.copy_(torch.randn(view.shape))
        return host

    def ask(self, host, op, **fields):
        return host.answer({"op": op, **fields})

    def done(self, host, op, **fields):
        reply = self.ask(host, op, **fields)
        self.assertIn("ok", reply, reply)
        return reply["ok"]

    def made(self, text, seed=3):
        host = self.started()
        self.loaded = self.done(host, "load", path=self.write("candidate.py", text), problem=self.problem, function=None)
        made = {"seed": seed, "init_inputs": [to_plain(2, "")], "strides": [[2, 1]]}
        self.own_state = self.done(host, "make", **made)["own_state"]
        return host

    def with_body(self, body):
        return self.made(CANDIDATE + textwrap.indent(textwrap.dedent(body), " " * 8))

    def refused(self, body, kind, words, line=None):
        """A candidate with this `forward` runs, and what it leaves is refused."""
        host = self.with_body(body)
        reply = self.ask(host, "run", calls=1)
        if "ok" in reply:
            reply = self.ask(host, "fetch")
        error = reply.get("error")
        self.assertIsNotNone(error, reply)
        self.assertEqual(error["kind"], kind, error)
        self.assertIn(words, error["message"])
        if line is not None:
            self.assertEqual(error["line"], line)
        return error

    def not_loaded(self, text, kind, words):
        host = self.started()
        error = self.ask(host, "load", path=self.write("candidate.py", text), problem=self.problem, function=None)["error"]
        self.assertEqual(error["kind"], kind, error)
        self.assertIn(words, error["message"])
        return error

    def test_the_reference_s_weights_are_the_model_s(self):
        host = self.with_body("return self.linear(x) * 2")
        self.done(host, "run", calls=2)
        self.done(host, "fetch")
        x, (weight, bias) = host.input_views[0], host.state_views
        self.assertTrue(torch.allclose(host.output_views[0], (x @ weight.T + bias) * 2))
        self.assertEqual((self.own_state, self.loaded["repeats_line"]), ([], None))

    def test_a_function_is_called_where_one_is_named(self):
        host = self.started()
        path = self.write("candidate.py", "def run(x):\n    return x * 2\n")
        self.done(host, "load", path=path, problem=self.problem, function="run")
        self.done(host, "make", seed=3, init_inputs=[], strides=[])
        self.done(host, "run", calls=1)
        self.done(host, "fetch")
        self.assertTrue(torch.equal(host.output_views[0], host.input_views[0] * 2))
        error = self.ask(self.started(), "load", path=path, problem=self.problem, function="walk")["error"]
        self.assertEqual((error["kind"], error["hint"]), ("no-function", "it defines `run`"))

    def test_weights_without_a_place_are_named(self):
        self.made(
            "import torch.nn as nn\nclass ModelNew(nn.Module):\n    def __init__(self, w):\n        super().__init__()\n"
        )
        self.assertEqual(self.own_state, ["linear.weight", "linear.bias"])

    def test_new_inputs_are_taken_and_moved(self):
        host = self.with_body("return x + 0")
        host.input_views[0].copy_(torch.arange(6.0).reshape(3, 2))
        self.done(host, "take")
        self.done(host, "renew", calls=1, call=True, rotate=[0])
        self.done(host, "fetch")
        self.assertEqual(host.output_views[0].reshape(-1).tolist(), [5, 0, 1, 2, 3, 4])
        self.assertEqual(host.input_views[0].tolist(), host.output_views[0].tolist())

    def test_what_is_no_answer_is_named(self):
        self.refused("return x[:2]", "wrong-shape", "returned shape [2, 2] for `y`", line=10)
        self.refused("return x.double()", "wrong-dtype", "returned f64 for `y`, the problem says f32")
        self.refused("return (x, x)", "wrong-count", "returned 2 tensors, the problem has 1")
        self.refused("return None", "not-a-tensor", "returned NoneType for `y`")
        self.refused("return x.to('meta')", "wrong-device", "on the device meta")
        self.refused("return x.T.contiguous().T", "wrong-stride", "strides [1, 3], the reference's are [2, 1]")
        self.refused("return x.to_sparse()", "not-a-tensor", "returned torch.sparse_coo")
        self.refused("x.resize_(1)\nreturn torch.zeros(3, 2)", "writes-input", "changes the shape of its input `x`")

    def test_a_tensor_that_computes_when_it_is_looked_at_is_no_answer(self):
        lazy = "class Lazy(torch.Tensor):\n    pass\nreturn torch.Tensor._make_subclass(Lazy, x.clone())"
        self.refused(lazy, "not-a-tensor", "returned Lazy for `y`, which is no plain tensor")

    def test_what_is_raised_is_told_with_its_line(self):
        error = self.refused(
            "y = x\nraise ValueError('no idea')", "raised", "ValueError while running forward", line=12
        )
        self.assertIn("no idea", error["message"])
        self.refused("raise MemoryError()", "memory-limit", "MemoryError")
        error = self.refused("raise RuntimeError('0 active drivers')", "raised", "RuntimeError")
        self.assertIn("--target cuda:0 has one", error["hint"])
        error = self.refused("raise PermissionError(1, 'Operation not permitted')", "raised", "PermissionError")
        self.assertIn("`torch.compile`", error["hint"])
        self.refused("raise SystemExit(3)", "called-exit", "calls exit(3)")
        host = self.started()
        text = (
            CANDIDATE.replace("self.linear = nn.Linear(width, width)", "self.linear = nn.Linear()") + "        pass\n"
        )
        self.done(host, "load", path=self.write("candidate.py", text), problem=self.problem, function=None)
        made = {"seed": 3, "init_inputs": [to_plain(2, "")], "strides": [[2, 1]]}
        error = self.ask(host, "make", **made)["error"]
        self.assertIn("TypeError while making ModelNew", error["message"])
        self.assertEqual(error["line"], 8)

    def test_what_is_no_candidate_is_not_loaded(self):
        error = self.not_loaded("class Model:\n    pass\n", "no-model", "has no class `ModelNew`")
        self.assertEqual(error["hint"], "it defines `Model`")
        self.not_loaded("import no_such_module\n", "missing-module", "`no_such_module`, which is not installed")
        error = self.not_loaded("x = (\n", "raised", "SyntaxError")
        self.assertEqual(error["line"], 1)
        host = self.started()
        path = self.write("candidate.py", "class ModelNew:\n    def __init__(self, width):\n        pass\n")
        self.done(host, "load", path=path, problem=self.problem, function=None)
        made = {"seed": 3, "init_inputs": [to_plain(2, "")], "strides": [[2, 1]]}
        self.assertEqual(self.ask(host, "make", **made)["error"]["kind"], "not-a-module")

    def test_the_problem_s_file_is_not_to_be_read(self):
        unittest.mock.patch.stopall()
        self.folder = KEPT
        self.problem = self.write("problem.py", PROBLEM)
        body = f"""
        try:
            return x.no_such_op()
        except AttributeError:
            try:
                open({self.problem!r}).read()
            except PermissionError:
                pass
            return self.linear(x) * 2
        """
        error = self.refused(body, "reads-problem", f"opens the problem's file, {self.problem}", line=16)
        self.assertIn("not a candidate's to run", error["hint"])
        self.problem = self.write("other_problem.py", PROBLEM)
        importing = f"""
        import sys
        sys.path.insert(0, {KEPT.name!r})
        import other_problem
        """
        self.not_loaded(importing, "reads-problem", "opens the problem's file")
        sys.path.remove(KEPT.name)

    def test_a_copy_of_the_reference_s_forward_is_found(self):
        self.with_body("z = self.linear(x)\nreturn z + z")
        self.assertIsNone(self.loaded["repeats_line"])
        self.with_body("y = self.linear(x)\n\nreturn y + y  # As it was.")
        self.assertEqual(self.loaded["repeats_line"], 10)
        self.assertIsNone(repeated(self.problem, "no such file"))

    def test_errors_of_a_gpu_are_told_apart(self):
        errors = [
            ("CUDA error: an illegal memory access was encountered\nSearch for it", "illegal-address"),
            ("Triton Error [CUDA]: misaligned address", "misaligned-address"),
            ("out of resource: shared memory, Required: 300000", "launch-failed"),
            ("CUDA out of memory. Tried to allocate 1 GiB", "out-of-device-memory"),
            ("CUDA error: device-side assert triggered", "kernel-trapped"),
            ("CUDA error: uncorrectable ECC error encountered", "device-lost"),
        ]
        for text, kind in errors:
            error = self.refused(f"raise RuntimeError({text!r})", kind, "raised RuntimeError while running forward: ")
            self.assertNotIn("Search", error["message"])
        self.refused("raise RuntimeError('out of memory, it says')", "raised", "RuntimeError")

    @needs_triton
    def test_kernels_run_in_the_interpreter_and_one_has_to(self):
        launch = "y = torch.empty_like(x)\nkernel[(1,)](y, x, 6)\nreturn y"
        host = self.made(KERNEL + CANDIDATE + textwrap.indent(launch, " " * 8))
        self.assertEqual((self.loaded["kernels"], self.loaded["interpreted"]), (["kernel"], True))
        self.done(host, "run", calls=2)
        self.done(host, "fetch")
        self.assertTrue(torch.equal(host.output_views[0], host.input_views[0] * 2))
        host = self.made(KERNEL + CANDIDATE + "        return x * 2\n")
        self.done(host, "run", calls=1)
        error = self.ask(host, "fetch")["error"]
        self.assertEqual((error["kind"], error["line"]), ("no-kernel-launched", 4))

    @needs_triton
    def test_a_kernel_has_to_run_for_every_workload(self):
        launch = "if calls:\n    return x * 2\ncalls.append(1)\ny = torch.empty_like(x)\nkernel[(1,)](y, x, 6)\nreturn y"
        host = self.made(KERNEL + "calls = []\n" + CANDIDATE + textwrap.indent(launch, " " * 8))
        for _ in range(2):
            self.done(host, "run", calls=1)
            self.done(host, "fetch")
        self.done(host, "select", workload=1)
        self.assertIsNone(host.result)
        self.done(host, "make", seed=4, init_inputs=[to_plain(2, "")], strides=[[2, 1]])
        self.done(host, "run", calls=1)
        self.assertEqual(self.ask(host, "fetch")["error"]["kind"], "no-kernel-launched")

    def test_what_it_replaces_is_named(self):
        relu, text = torch.relu, "\ntorch.relu = torch.sigmoid\ndef get_inputs():\n    return []\n"
        host = self.made(CANDIDATE + "        return x\n" + text)
        torch.relu = relu
        self.assertEqual(self.done(host, "oddities"), {"defines": ["get_inputs"], "patched": []})
        torch.relu = torch.sigmoid
        self.addCleanup(setattr, torch, "relu", relu)
        self.assertEqual(self.done(host, "oddities")["patched"], ["torch.relu"])

    def test_arguments_of_the_model_travel_whole(self):
        values = [1, 2.5, float("inf"), True, None, "text", (3, [4, 5.5]), {"key": (1,)}, 1 << 80, []]
        self.assertEqual(from_plain(to_plain(values, "")), values)
        with self.assertRaises(Refusal):
            to_plain(object(), "problem.py")
        tensors = [torch.randn(2, 3), torch.tensor(True), torch.arange(4, dtype=torch.int16), torch.zeros(0, 2)]
        tensors.append(torch.randn(4).to(torch.bfloat16))
        for before, after in zip(tensors, from_plain(to_plain(tensors, ""))):
            self.assertTrue(torch.equal(before, after) and before.dtype == after.dtype)
        with self.assertRaises(Refusal):
            to_plain(torch.zeros(MOST_BYTES), "problem.py")

    def written(self, main):
        """A host that loaded a package whose `main` writes to its destination."""
        folder = os.path.join(self.folder.name, "package")
        os.mkdir(folder)
        self.write("package/helper.py", "def total(x):\n    return x.no_such_op() if x.sum() > 1e6 else x.sum()\n")
        host = self.started()
        path = self.write("package/main.py", "from .helper import total\n" + main)
        fields = {"path": path, "folder": folder, "problem": self.problem, "function": "run", "destinations": True}
        self.addCleanup(self.forget, list(sys.path), set(sys.modules))
        self.done(host, "load", **fields)
        self.done(host, "make", seed=3, init_inputs=[], strides=[[2, 1]])
        return host

    def forget(self, path, modules):
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if name.startswith("package"):
                del sys.modules[name]

    def test_destinations_are_written_and_overwritten(self):
        host = self.written("def run(x, y):\n    y[:2] = total(x)\n")
        host.output_views[0].fill_(7)
        self.done(host, "overwrite")
        self.done(host, "run", calls=1)
        self.done(host, "fetch")
        self.assertTrue(torch.allclose(host.output_views[0][:2], host.input_views[0].sum()))
        self.assertTrue((host.output_views[0][2] == 7).all())

    def test_lines_of_other_files_of_a_package_are_the_candidate_s(self):
        host = self.written("def run(x, y):\n    y[:] = total(x + 1e7)\n")
        error = self.ask(host, "run", calls=1)["error"]
        self.assertEqual((os.path.basename(error["file"]), error["line"]), ("helper.py", 2), error)

    def test_inputs_can_be_made_anew_for_the_model_that_is_there(self):
        text = (
            PROBLEM
            + "\nimport torch\ndef get_inputs():\n    return [torch.randn(3, 2)]\ndef get_init_inputs():\n    return [2]\n"
        )
        path = self.write("whole.py", text)
        kernelbench = KernelBench(loading.import_reference(path), path, TorchTensors())
        (before,), _ = kernelbench.make(1)
        model = kernelbench.model
        (after,) = kernelbench.make_inputs(2)
        self.assertIs(kernelbench.model, model)
        self.assertFalse(torch.equal(before, after))


if __name__ == "__main__":
    unittest.main()
