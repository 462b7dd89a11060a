"""What the loop is given: checked and made complete before anything is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.checks import (
    check_callable,
    check_flags,
    check_instance,
    check_int,
    check_methods,
    check_number,
    check_seed,
    received,
)
from tensor_optix.core.protocols import completed
from tensor_optix.core.storage.run_folder import RunFolder
from tensor_optix.core.storage.stateful import WithState
from tensor_optix.exceptions import InvalidTypeError

_ASKED_OF: dict[str, tuple[type, tuple[str, ...]]] = {
    "agent": (
        BaseAgent,
        ("act", "learn", "get_hyperparams", "set_hyperparams", "save_weights", "load_weights"),
    ),
    "evaluator": (BaseEvaluator, ("score",)),
    "optimizer": (BaseOptimizer, ("suggest", "on_improvement", "on_plateau")),
    "pipeline": (BasePipeline, ("setup", "episodes", "teardown")),
}


def complete_parts(
    agent: Any, evaluator: Any, optimizer: Any, pipeline: Any
) -> tuple[BaseAgent, BaseEvaluator, BaseOptimizer, BasePipeline]:
    """Return each part with all that its interface has.

    Raises:
        InvalidTypeError: A part lacks what has no default, or is a class instead of an object of it.
    """
    parts = {"agent": agent, "evaluator": evaluator, "optimizer": optimizer, "pipeline": pipeline}
    for name, part in parts.items():
        interface, methods = _ASKED_OF[name]
        check_methods(name, part, *methods, hint=f" Derive it from {interface.__name__}.")
    if not hasattr(pipeline, "is_live"):
        raise InvalidTypeError(
            f"`pipeline` must say whether it is live: give it a property is_live. {received(pipeline)} "
            "Derive it from BasePipeline."
        )
    return (
        completed(agent, BaseAgent),
        completed(evaluator, BaseEvaluator),
        completed(optimizer, BaseOptimizer),
        completed(pipeline, BasePipeline),
    )


def with_state(part: Any) -> WithState | None:
    """Return what a checkpoint holds of a part; None where it has no state."""
    return completed(part, WithState) if hasattr(part, "state_dict") else None


def by_class(parts: Iterable[Any]) -> dict[str, WithState]:
    """Return those parts that have a state, each under the name of its class and a number."""
    seen: Counter[str] = Counter()
    named = {}
    for part in parts:
        kind = type(part).__qualname__
        seen[kind] += 1
        state = with_state(part)
        if state is not None:
            named[kind if seen[kind] == 1 else f"{kind} {seen[kind]}"] = state
    return named


def check_keepers(checkpoint_registry: Any, backoff_scheduler: Any, run_folder: Any) -> None:
    """Raise ``InvalidTypeError`` unless champions, counts and history can be kept with these."""
    check_instance("run_folder", run_folder, RunFolder, optional=True)
    check_instance("checkpoint_registry", checkpoint_registry, CheckpointRegistry)
    check_instance("backoff_scheduler", backoff_scheduler, BackoffScheduler)


def check_settings(
    rollback_on_degradation: Any,
    improvement_margin: Any,
    max_episodes: Any,
    max_env_steps: Any,
    target_score: Any,
    seed: Any,
) -> None:
    """Raise unless the loop can run with these.

    Raises:
        InvalidTypeError: One is of a type that cannot be used.
        InvalidArgumentError: One is out of range.
    """
    check_flags(rollback_on_degradation=rollback_on_degradation)
    check_number("improvement_margin", improvement_margin, low=0.0)
    check_int("max_episodes", max_episodes, at_least=1, optional=True)
    check_int("max_env_steps", max_env_steps, at_least=1, optional=True)
    check_number("target_score", target_score, optional=True)
    check_seed("seed", seed)


def check_report(report_episodes: Any, play_episodes: Any, baseline: Any = None) -> None:
    """Raise unless so many episodes can be played so, and a baseline, if there is one, can act in them."""
    check_int("report_episodes", report_episodes, at_least=0)
    check_callable("play_episodes", play_episodes, takes="(act, num_episodes, *, seed) -> EvaluationResult")
    check_callable("baseline", baseline, takes="(observation) -> action")
