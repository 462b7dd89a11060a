"""What a run is made of, and how a resumed one is made otherwise.

Told before the first step: what cannot go on is refused, what can goes on and says what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.storage.exact_json import to_exact
from tensor_optix.core.storage.json_files import to_jsonable
from tensor_optix.exceptions import CheckpointError, StateMismatchError

_COUNTS = ("num_envs", "window_size", "barrier_interval_steps")
_SPACES = ("observation_space", "action_space")
_LONGEST_VALUE = 200


def describe_structure(agent: Any, evaluator: Any, tuner: Any, pipeline: Any) -> dict[str, Any]:
    """Return, JSON-able, what a run is made of.

    Args:
        agent: Acts and learns.
        evaluator: Scores windows.
        tuner: The hyperparameter optimizer.
        pipeline: Yields windows.
    """
    parts = {
        "agent": agent,
        "evaluator": _innermost(evaluator),
        "hyperparameter optimizer": tuner,
        "pipeline": pipeline,
    }
    facts: dict[str, Any] = {f"the class of the {name}": type(part).__qualname__ for name, part in parts.items()}
    facts |= {name: getattr(pipeline, name) for name in ("env_id", *_COUNTS) if hasattr(pipeline, name)}
    facts |= _tuned_by(tuner)
    spaces = {name: getattr(pipeline, name, None) for name in _SPACES}
    facts |= {name: repr(space) for name, space in spaces.items() if space is not None}
    layouts = {name: layout_of(space) for name, space in spaces.items() if space is not None}
    return {"facts": _jsonable(facts), "layouts": layouts}


def structure_differences(saved: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return how a run is made otherwise than the one that was saved, in phrases; empty if it is not.

    Args:
        saved: What :func:`describe_structure` returned then.
        here: What it returns now.

    Raises:
        StateMismatchError: Observations or actions are of another kind or shape: no agent can go on.
    """
    then, now = saved.get("facts", {}), here["facts"]
    for name, layout in saved.get("layouts", {}).items():
        if layout != here["layouts"].get(name, layout):
            raise StateMismatchError(
                f"The run cannot go on in another {name.replace('_', ' ')}: it was {_short(then.get(name))} and is "
                f"{_short(now.get(name))}. Resume with the environment that it was, or begin a new run."
            )
    names = [*then, *(name for name in now if name not in then)] if then else []
    return [
        f"{name} was {_short(then.get(name))}, is {_short(now.get(name))}"
        for name in names
        if then.get(name) != now.get(name)
    ]


def layout_of(space: Any) -> Any:
    """Return what of a space decides the shapes of arrays: kinds, shapes and counts, but no bounds or types."""
    parts = getattr(space, "spaces", None)
    if isinstance(parts, Mapping):
        return {str(name): layout_of(part) for name, part in parts.items()}
    if isinstance(parts, (list, tuple)):
        return [layout_of(part) for part in parts]
    counts = {name: to_jsonable(getattr(space, name, None)) for name in ("shape", "n", "nvec")}
    return {"kind": type(space).__name__, **counts}


def _innermost(evaluator: Any) -> Any:
    """Return what scores: an evaluator that wraps one other (to log, to time, to stop it) scores as that one does."""
    inner = [value for value in getattr(evaluator, "__dict__", {}).values() if isinstance(value, BaseEvaluator)]
    return _innermost(inner[0]) if len(inner) == 1 and inner[0] is not evaluator else evaluator


def _tuned_by(tuner: Any) -> dict[str, Any]:
    """Return the bounds within which hyperparameters are tuned, where the tuner has any and says so."""
    bounds = getattr(tuner, "param_bounds", None)
    if not isinstance(bounds, Mapping):
        return {}
    return {f"the bounds of {name}": repr(spec) for name, spec in bounds.items()}


def _jsonable(facts: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in facts.items():
        try:
            kept[name] = to_exact(value, name)
        except CheckpointError:
            kept[name] = repr(value)
    return kept


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
