"""Golden tests of the kinstr binary. Run with `lit lit-tests`; see CONTRIBUTING.md.

%kinstr        the binary: $KINSTR, else the debug build
%examples      the folder examples/
%golden FILE   compares standard input with FILE; under `scripts/bless` it overwrites FILE instead
"""

import os

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
for name in ("HOME", "XDG_CACHE_HOME", "KINSTR_PYTHON"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
config.substitutions += [
    ("%kinstr", kinstr),
    ("%examples", os.path.join(root, "examples")),
    ("%golden", "tee" if blessing else "diff -u -"),
]
