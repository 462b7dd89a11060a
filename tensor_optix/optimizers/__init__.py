"""Hyperparameter optimizers: what tunes an agent while it learns. NumPy and SciPy only."""

from tensor_optix.optimizers.backoff_optimizer import BackoffOptimizer
from tensor_optix.optimizers.bounded_optimizer import Decision
from tensor_optix.optimizers.pbt_optimizer import PBTOptimizer

__all__ = ["BackoffOptimizer", "Decision", "PBTOptimizer"]
