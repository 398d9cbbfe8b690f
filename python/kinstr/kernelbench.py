"""A KernelBench file: `Model`, `get_inputs` and `get_init_inputs`."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any, Dict, List, Tuple

from .refusal import Refusal, from_exception
from .tensors import NAMES, TorchTensors, as_list

#: What makes the seed of the inputs another than the model's.
INPUTS = 0x9E3779B97F4A7C15


class KernelBench:
    """The model and its inputs for one seed at a time.

    As in KernelBench's own harness, a seed is set before the model is made and another one before the inputs are. With one
    for both, a weight and an input of one shape would hold the same numbers, and `x * x` would pass for `x * w`.
    The model stays in the mode in which it was made, which for PyTorch is training mode.
    """

    def __init__(self, module: ModuleType, path: str, tensors: TorchTensors) -> None:
        self.module = module
        self.path = path
        self.tensors = tensors
        self.torch = tensors.torch
        self.model: Any = None
        self.init_inputs: List[Any] = []

    def make(self, seed: int) -> Tuple[List[Any], List[Any]]:
        """Makes model and inputs afresh; gives the inputs and the model's state."""
        self.torch.manual_seed(seed)
        init_inputs = self._call("get_init_inputs")
        self.torch.manual_seed(seed)
        model = self._call("Model", *init_inputs)
        if not isinstance(model, self.torch.nn.Module):
            raise Refusal("not-a-module", "`Model` is not a torch.nn.Module", file=self.path)
        self.init_inputs = list(init_inputs)
        self.model = model
        return self.make_inputs(seed), list(model.state_dict().values())

    def make_inputs(self, seed: int) -> List[Any]:
        """Makes inputs afresh."""
        self.torch.manual_seed(seed ^ INPUTS)
        inputs = list(self._call("get_inputs"))
        for position, value in enumerate(inputs):
            if not self.tensors.is_tensor(value):
                raise Refusal(
                    "unsupported",
                    f"get_inputs() gives {type(value).__name__} at position {position}; only tensors are supported",
                    "make it an attribute of the model, through get_init_inputs",
                    file=self.path,
                )
        return inputs

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            with self.torch.no_grad():
                return getattr(self.module, name)(*arguments)
        except BaseException as error:
            raise from_exception(error, self.path, f"running {name}") from error

    def forward(self, *inputs: Any) -> Any:
        """Runs the model."""
        with self.torch.no_grad():
            return self.model(*inputs)

    def load_state(self, state: List[Any]) -> None:
        """Gives the model this state, in the order of its `state_dict`."""
        self.model.load_state_dict(dict(zip(self.model.state_dict().keys(), state)))

    def describe(self, seed: int) -> Dict[str, Any]:
        """Names, element types and shapes of the inputs, of the state and of the outputs."""
        inputs, state = self.make(seed)
        self.tensors.move_model(self.model)
        try:
            outputs = as_list(self.forward(*[self.tensors.copy_of(value) for value in inputs]))
        except BaseException as error:
            raise from_exception(error, self.path, "running Model.forward") from error
        state_names = list(self.model.state_dict().keys())
        input_names = _unlike(self._input_names(len(inputs)), state_names)
        output_names = _unlike(_numbered("output", len(outputs)), input_names + state_names)
        return {
            "inputs": [self._spec(*pair) for pair in zip(input_names, inputs)],
            "state": [self._spec(*pair) for pair in zip(state_names, state)],
            "outputs": [self._spec(*pair) for pair in zip(output_names, outputs)],
        }

    def _input_names(self, count: int) -> List[str]:
        """The parameters of `forward`, where they are one an input."""
        parameters = inspect.signature(self.model.forward).parameters.values()
        plain = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        return plain[:count] if len(plain) >= count else _numbered("input", count)

    def _spec(self, name: str, value: Any) -> Dict[str, Any]:
        if not self.tensors.is_tensor(value):
            raise Refusal("not-a-tensor", f"`{name}` is {type(value).__name__}, which is no tensor", file=self.path)
        dtype = self.tensors.dtype_of(value)
        if dtype not in NAMES:
            raise Refusal("unsupported", f"`{name}` has dtype {dtype}, which kinstr does not know", file=self.path)
        return {"name": name, "dtype": NAMES[dtype], "shape": list(value.shape)}


def _numbered(stem: str, count: int) -> List[str]:
    return [stem] if count == 1 else [f"{stem}{i}" for i in range(count)]


def _unlike(names: List[str], taken: List[str]) -> List[str]:
    """The names, with an underscore where one is taken."""
    return [name + "_" if name in taken else name for name in names]
