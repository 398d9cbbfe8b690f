"""The Python side of kinstr: the processes that host references and candidates."""

__version__ = "0.1.0"
