"""Where bytecode comes from and goes to, with a package in PyTorch's place."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class BytecodeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.packages, self.place = (os.path.join(folder.name, name) for name in ("packages", "place"))
        for package in ("torch", "triton"):
            os.makedirs(os.path.join(self.packages, package))
            for module in ("__init__", "other"):
                open(os.path.join(self.packages, package, module + ".py"), "w").close()

    def run_host(self, text):
        """Runs `text` as a host would, in an environment that keeps no bytecode."""
        search = os.pathsep.join([PACKAGE, self.packages])
        env = {**os.environ, "PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1", "KINSTR_BYTECODE": self.place}
        text = "from kinstr import bytecode\nbytecode.look_up()\n" + textwrap.dedent(text)
        printed = subprocess.run([sys.executable, "-c", text], env=env, check=True, capture_output=True, text=True)
        return printed.stdout.strip()

    def kept(self):
        return sorted(file.split(".")[0] for _, _, files in os.walk(self.place) for file in files)

    def test_a_reference_keeps_what_a_candidate_finds(self):
        self.run_host("import torch")
        self.assertEqual(self.kept(), [])
        self.run_host("with bytecode.kept():\n    import torch, torch.other\nimport triton.other")
        # Of PyTorch what was imported, of Triton everything.
        self.assertEqual(self.kept().count("other"), 2)
        kept = self.kept()
        found = self.run_host("import torch, os\nprint(os.path.exists(torch.__cached__) and torch.__cached__)")
        self.assertTrue(found.startswith(self.place), found)
        self.assertEqual(self.kept(), kept)

    def test_what_was_installed_with_bytecode_stays_there(self):
        subprocess.run([sys.executable, "-m", "compileall", "-q", self.packages], check=True)
        self.run_host("with bytecode.kept():\n    import torch.other")
        self.assertEqual(self.kept(), [])


if __name__ == "__main__":
    unittest.main()
