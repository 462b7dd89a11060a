"""Hyperparameter optimizers: what tunes an agent while it learns, by the scores that it earns.

NumPy and SciPy only. Nothing here steps, learns or runs anything: they are told scores and asked for parameters.
"""

from tensor_optix.optimizers.backoff_optimizer import BackoffOptimizer
from tensor_optix.optimizers.bounded_optimizer import Decision
from tensor_optix.optimizers.pbt_optimizer import PBTOptimizer

__all__ = ["BackoffOptimizer", "Decision", "PBTOptimizer"]
