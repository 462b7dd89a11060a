"""Agents and evaluators on Keras 3 models that run on TensorFlow."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.loading import load_agent
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
    from tensor_optix.adapters.tensorflow.tf_evaluator import TFEvaluator

_HOME_OF = {
    "TFAgent": "tf_agent",
    "TFEvaluator": "tf_evaluator",
    "load_agent": "loading",
}

__all__ = [
    "TFAgent",
    "TFEvaluator",
    "load_agent",
]


if not TYPE_CHECKING:  # with it, every name would be one

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
