"""The Python side of kinstr: the process that hosts reference implementations."""

__version__ = "0.1.0"
