"""Arguments of a model on their way from one host to another, as JSON."""

from __future__ import annotations

import base64
import sys
from typing import Any, Dict, Union

from .refusal import Refusal

#: A value on its way: `{type: value}`, or the value where JSON has it.
Plain = Union[None, bool, str, Dict[str, Any]]

#: Bytes of tensors that are handed on: a reply is a line, and what is larger belongs into the model's state.
MOST_BYTES = 4 << 20


def to_plain(value: Any, path: str) -> Plain:
    """As JSON, which has neither tuples nor tensors nor numbers of every size."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return {"int": hex(value)}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [to_plain(item, path) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[to_plain(key, path), to_plain(item, path)] for key, item in value.items()]}
    torch = sys.modules.get("torch")
    if torch is not None and type(value) is torch.Tensor:
        return {"tensor": _tensor(torch, value, path)}
    raise Refusal(
        "unsupported",
        f"get_init_inputs() gives {type(value).__name__}, which cannot be handed to a candidate in Python",
        "numbers, strings, None, tensors, and lists, tuples and dictionaries of them can be",
        file=path,
    )


def _tensor(torch: Any, value: Any, path: str) -> Dict[str, Any]:
    if value.nbytes > MOST_BYTES:
        raise Refusal(
            "unsupported",
            f"get_init_inputs() gives a tensor of {value.nbytes} bytes; up to {MOST_BYTES} can be handed to a candidate",
            "make it in the model's constructor, as a parameter or a buffer",
            file=path,
        )
    flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return {
        "dtype": str(value.dtype).rsplit(".", 1)[-1],
        "shape": list(value.shape),
        "bytes": base64.b64encode(bytes(flat.tolist())).decode("ascii"),
    }


def from_plain(plain: Plain) -> Any:
    """What `to_plain` was given."""
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    if kind == "float":
        return float.fromhex(value)
    if kind == "int":
        return int(value, 16)
    if kind == "dict":
        return {from_plain(key): from_plain(item) for key, item in value}
    if kind == "tensor":
        return _from_tensor(value)
    items = [from_plain(item) for item in value]
    return tuple(items) if kind == "tuple" else items


def _from_tensor(fields: Dict[str, Any]) -> Any:
    import torch

    raw = torch.tensor(list(base64.b64decode(fields["bytes"])), dtype=torch.uint8)
    return raw.view(getattr(torch, fields["dtype"])).reshape(fields["shape"])
