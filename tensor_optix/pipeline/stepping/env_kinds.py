"""The kinds of environment there are; another one is a file with its guard, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tensor_optix.pipeline.stepping.collectors import Act, Collector, SingleEnvCollector, VectorEnvCollector
from tensor_optix.pipeline.stepping.env_guard import EnvGuard
from tensor_optix.pipeline.stepping.envpool import EnvPoolGuard
from tensor_optix.pipeline.stepping.episode_player import EpisodePlayer, SinglePlayer, VectorPlayer
from tensor_optix.pipeline.stepping.vector_env import VectorGuard


@dataclass(frozen=True)
class EnvKind:
    """A kind of environment.

    Attributes:
        guard: What calls it, and tells whether it is of this kind.
        collector: What fills windows from it.
        player: What plays whole episodes in it.
    """

    guard: type[EnvGuard]
    collector: Callable[[Any], Collector]
    player: Callable[[Any, Act, int, int], EpisodePlayer]


KINDS = (
    EnvKind(EnvPoolGuard, VectorEnvCollector, VectorPlayer),
    EnvKind(VectorGuard, VectorEnvCollector, VectorPlayer),
    EnvKind(EnvGuard, SingleEnvCollector, SinglePlayer),
)
"""The first that serves an environment is its kind."""


def kind_of(env: Any) -> EnvKind:
    """Return the kind of an environment."""
    return next(kind for kind in KINDS if kind.guard.serves(env))


def guard_of(env: Any) -> EnvGuard:
    """Return an environment, guarded."""
    return kind_of(env).guard(env)
