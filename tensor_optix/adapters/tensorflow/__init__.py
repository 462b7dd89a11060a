"""Agents and evaluators on Keras 3 models that run on TensorFlow."""

from typing import TYPE_CHECKING

from tensor_optix.lazy_names import lazy_names

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.loading import load_agent as load_agent
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent as TFAgent
    from tensor_optix.adapters.tensorflow.tf_evaluator import TFEvaluator as TFEvaluator
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "loading": ["load_agent"],
            "tf_agent": ["TFAgent"],
            "tf_evaluator": ["TFEvaluator"],
        },
    )
