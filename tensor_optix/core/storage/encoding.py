"""Scores and hyperparameters as plain dicts for ``to_exact``, and back."""

from __future__ import annotations

import math
from typing import Any

from tensor_optix.core.storage.agent_files import split_hyperparams
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.exceptions import CheckpointError


def encode_metrics(metrics: EvalMetrics) -> dict[str, Any]:
    """Return a score as a plain dict; ``decode_metrics`` inverts it."""
    return {
        "primary_score": float(metrics.primary_score),
        "metrics": metrics.metrics,
        "episode_id": int(metrics.episode_id),
        "timestamp": float(metrics.timestamp),
        "hyperparams": encode_hyperparams(metrics.hyperparams) if metrics.hyperparams else None,
        "env_steps": None if metrics.env_steps is None else int(metrics.env_steps),
        "num_episodes": None if metrics.num_episodes is None else int(metrics.num_episodes),
    }


def decode_metrics(plain: dict[str, Any], source: object = "metrics") -> EvalMetrics:
    """Return the score that was encoded.

    Raises:
        CheckpointError: A field is missing or of a kind it cannot be; ``source`` is named.
    """
    hyperparams = field(plain, "hyperparams", (dict, type(None)), source)
    return EvalMetrics(
        math.nan if plain.get("primary_score") is None else number_field(plain, "primary_score", source),
        field(plain, "metrics", dict, source),
        field(plain, "episode_id", int, source),
        number_field(plain, "timestamp", source),
        hyperparams=None if hyperparams is None else decode_hyperparams(hyperparams, source),
        env_steps=field(plain, "env_steps", (int, type(None)), source),
        num_episodes=field(plain, "num_episodes", (int, type(None)), source),
    )


def encode_hyperparams(hyperparams: HyperparamSet) -> dict[str, Any]:
    """Return hyperparameters as a plain dict; values that ``to_exact`` refuses are named in ``left_out``."""
    params, left_out = split_hyperparams(hyperparams.params)
    plain = {
        "params": params,
        "episode_id": int(hyperparams.episode_id),
        "timestamp": float(hyperparams.timestamp),
    }
    return {**plain, "left_out": left_out} if left_out else plain


def decode_hyperparams(plain: dict[str, Any], source: object = "hyperparameters") -> HyperparamSet:
    """Return the hyperparameters that were encoded.

    Raises:
        CheckpointError: A field is missing or of a kind it cannot be; ``source`` is named.
    """
    return HyperparamSet(
        field(plain, "params", dict, source),
        field(plain, "episode_id", int, source),
        number_field(plain, "timestamp", source),
    )


def number_field(document: dict[str, Any], key: str, source: object) -> float:
    """Return a field as a float, or raise a CheckpointError that names ``source``."""
    value = field(document, key, (int, float), source)
    try:
        return float(value)
    except OverflowError as error:
        raise CheckpointError(f"{source}: `{key}` is {value!r:.50}..., too large a number.") from error


def field(document: dict[str, Any], key: str, kind: Any, source: object) -> Any:
    """Return a field that must be of ``kind``, or raise a CheckpointError that names ``source``."""
    value = document.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CheckpointError(f"{source}: `{key}` is {value!r:.200}, which it cannot be.")
    return value
