"""What the loop calls on its parts: checked when they are given, not when they are first called."""

from __future__ import annotations

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
)
from tensor_optix.core.storage.run_folder import RunFolder

_ASKED_OF: dict[str, tuple[type, tuple[str, ...]]] = {
    "agent": (
        BaseAgent,
        ("act", "learn", "get_hyperparams", "set_hyperparams", "save_weights", "load_weights"),
    ),
    "evaluator": (BaseEvaluator, ("score", "compare")),
    "optimizer": (BaseOptimizer, ("suggest", "on_improvement", "on_plateau")),
    "pipeline": (
        BasePipeline,
        (
            *("setup", "episodes", "teardown", "set_agent", "set_seed"),
            *("request_barrier", "cut_episodes", "give_way", "play_episodes"),
        ),
    ),
}


def check_parts(agent: Any, evaluator: Any, optimizer: Any, pipeline: Any) -> None:
    """Raise unless each part has the methods of its interface.

    Raises:
        InvalidTypeError: A part lacks one, or is a class instead of an object of it.
    """
    parts = {"agent": agent, "evaluator": evaluator, "optimizer": optimizer, "pipeline": pipeline}
    for name, part in parts.items():
        interface, methods = _ASKED_OF[name]
        check_methods(name, part, *methods, hint=f" Derive it from {interface.__name__}.")


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


def check_report(report_episodes: Any, play_episodes: Any) -> None:
    """Raise unless so many episodes can be played so."""
    check_int("report_episodes", report_episodes, at_least=0)
    check_callable("play_episodes", play_episodes, takes="(act, num_episodes, *, seed) -> EvaluationResult")
