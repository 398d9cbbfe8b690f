"""Golden tests of the kinstr binary. Run with `lit lit-tests`; see CONTRIBUTING.md.

%kinstr        the binary: $KINSTR, else the debug build
%examples      the folder examples/
%ptxas         NVIDIA's assembler, where the feature `ptxas` says that there is one
%golden FILE   compares standard input with FILE; under `scripts/bless` it overwrites FILE instead
"""

import glob
import os
import shutil

import lit.formats

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
kinstr = os.path.abspath(os.environ.get("KINSTR", os.path.join(root, "target", "debug", "kinstr")))
blessing = "KINSTR_BLESS" in os.environ

config.name = "kinstr"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "Output"]
config.test_source_root = os.path.join(root, "lit-tests")
config.test_exec_root = os.path.join(root, "target", "lit")
config.environment["PATH"] = "/usr/lib/llvm-22/bin:" + os.environ.get("PATH", "")
for name in ("HOME", "XDG_CACHE_HOME", "KINSTR_PYTHON", "KINSTR_PTXAS", "KINSTR_LIBDEVICE"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
# As kinstr itself looks for them; `libdevice` is what math without an instruction is linked from.
cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
triton = os.path.join(cache, "kinstr/venv/lib/python3*/site-packages/triton/backends/nvidia")
places = lambda pattern, folder: glob.glob(os.path.join(triton, pattern)) + glob.glob("/usr/local/cuda*/" + folder)
ptxas = os.environ.get("KINSTR_PTXAS") or shutil.which("ptxas") or next(iter(places("bin/ptxas", "bin/ptxas")), None)
libdevice = os.environ.get("KINSTR_LIBDEVICE") or places("lib/libdevice.10.bc", "nvvm/libdevice/libdevice.10.bc")
if ptxas:
    config.available_features.add("ptxas")
if libdevice:
    config.available_features.add("libdevice")
config.substitutions += [
    ("%ptxas", ptxas or "ptxas"),
    ("%kinstr", kinstr),
    ("%examples", os.path.join(root, "examples")),
    ("%golden", "tee" if blessing else "diff -u -"),
]
