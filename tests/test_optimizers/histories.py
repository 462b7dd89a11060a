"""Short ways to say what a hyperparameter optimizer is told."""

from tensor_optix.core.types import EvalMetrics, HyperparamSet


def told(*scores, first=0):
    """Scores of windows first, first + 1, ..., without saying what earned them."""
    return [EvalMetrics(float(score), {}, episode_id=first + i, timestamp=0.0) for i, score in enumerate(scores)]


def stamped(score, window, **params):
    """One score and the hyperparameters that earned it."""
    return EvalMetrics(float(score), {}, window, timestamp=0.0, hyperparams=HyperparamSet(params, window))


def params(**values):
    return HyperparamSet(values, episode_id=0)
