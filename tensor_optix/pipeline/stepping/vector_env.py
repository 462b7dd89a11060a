"""Several environments that step together, in any of Gymnasium's autoreset modes."""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.pipeline.stepping.action_masks import VectorMasks
from tensor_optix.pipeline.stepping.env_guard import EnvGuard, has_time_limit
from tensor_optix.pipeline.stepping.own_reward import reward_wrappers, reward_wrappers_among
from tensor_optix.pipeline.stepping.worker_processes import workers_that_reset_again

BoolArray = npt.NDArray[np.bool_]


class Autoreset(enum.Enum):
    """When a vector environment resets a sub-environment that ended (Gymnasium's names).

    Attributes:
        NEXT_STEP: With the next step, whose action is ignored.
        SAME_STEP: At once; the successor is in ``info["final_obs"]``.
        DISABLED: Never: whoever steps it resets it, by mask.
    """

    NEXT_STEP = "NextStep"
    SAME_STEP = "SameStep"
    DISABLED = "Disabled"

    @classmethod
    def of(cls, env: Any) -> Autoreset:
        """Return the mode of ``env``; Gymnasium 1.0 does not tell and knows only the first."""
        mode = (getattr(env, "metadata", None) or {}).get("autoreset_mode")
        if mode is None:
            return cls.NEXT_STEP
        try:
            return cls(getattr(mode, "value", mode))
        except ValueError:
            raise InvalidArgumentError(
                f"The vector environment's metadata['autoreset_mode'] must be one of {[m.value for m in cls]}. "
                f"Received: {mode!r}."
            ) from None


class VectorGuard(EnvGuard):
    """One vector environment, guarded, and which of its sub-environments have ended.

    Attributes:
        mode: When sub-environments are reset.
        ended: Sub-environments whose last step ended an episode and that have not been reset
            since, ``[N]``; always False in same-step mode. The caller of ``step`` assigns it.
    """

    is_vector = True

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.num_envs = self._count_envs()
        self.mode = Autoreset.of(env)
        self._workers = workers_that_reset_again(env) if self.mode is Autoreset.NEXT_STEP else None
        nothing = np.zeros(self.num_envs, np.bool_)
        self._ended: BoolArray = nothing if self._workers is None else self._workers.known_to_reset(nothing)

    @classmethod
    def serves(cls, env: Any) -> bool:
        """Tell whether it is one of Gymnasium's vector environments."""
        return isinstance(env, gym.vector.VectorEnv)

    def space(self, kind: str) -> Any:
        """Return the space of ONE environment's ``"observation"`` or ``"action"``, None where unknown."""
        return getattr(self.env, f"single_{kind}_space", super().space(kind))

    @functools.cached_property
    def masks(self) -> VectorMasks:
        """See :class:`EnvGuard`."""
        return VectorMasks(self, self.asked_masks)

    @property
    def ended(self) -> BoolArray:
        """See the class."""
        return self._ended

    @ended.setter
    def ended(self, ended: BoolArray) -> None:
        self._ended = ended
        if self._workers is not None:
            self._workers.note(ended)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Reset, and return all observations; sub-environments get ``seed``, ``seed + 1``, ..."""
        observations = super().reset(seed, options)
        self.ended = np.zeros(self.num_envs, np.bool_)
        return observations

    def reset_ended(self) -> Any:
        """Reset the sub-environments that have ended (mode DISABLED) and return all observations."""
        return self.reset(options={"reset_mask": self.ended.copy()})

    def shown_ends(self, terminated: Any, truncated: Any) -> tuple[Any, Any]:
        """Return which observations that a step returned are the last of their episodes, by how those ended."""
        return (False, False) if self.mode is Autoreset.SAME_STEP else (terminated, truncated)

    def _count_envs(self) -> int:
        return int(self.env.num_envs)

    def _reset(self, seed: int | None, options: dict[str, Any] | None) -> Any:
        if self._workers is not None:
            self._workers.reset(self._workers.known_to_reset(self._ended))
        return super()._reset(seed, options)

    def _has_time_limit(self) -> bool:
        """Tell as for one environment.

        Of a vector in other processes one environment is made here and looked at: a worker is never asked,
        for one that cannot answer (its spec holds a lambda, say) ends, and with it the vector.
        """
        if self._limits(lambda: self.env.spec):
            return True
        is_told = getattr(self.env, "spec", None) is not None
        return not (is_told and self._is_in_other_processes) and self._seen_in_one[0]

    @property
    def _is_in_other_processes(self) -> bool:
        return isinstance(getattr(self.env, "unwrapped", self.env), gym.vector.AsyncVectorEnv)

    @functools.cached_property
    def _seen_in_one(self) -> tuple[bool, list[str]]:
        """Whether one environment has a time limit, and its wrappers that change rewards."""
        vector, is_async = getattr(self.env, "unwrapped", self.env), self._is_in_other_processes
        envs = [vector.env_fns[0]()] if is_async else list(getattr(vector, "envs", ()))
        try:
            return self._has_one_limit(envs), [] if not envs else reward_wrappers(envs[0])
        finally:
            if is_async:
                envs[0].close()

    def _has_one_limit(self, envs: Sequence[Any]) -> bool:
        return bool(envs) and (self._limits(lambda: envs[0].spec) or has_time_limit(envs[0]))

    def _reward_wrappers_out_of_reach(self) -> list[str]:
        vector = getattr(self.env, "unwrapped", self.env)
        if not isinstance(vector, gym.vector.AsyncVectorEnv):
            return []
        if vector.spec is not None:
            return reward_wrappers_among(vector.spec.kwargs.get("wrappers", ()))
        seen = vars(self).get("_seen_in_one")  # made for the step limit, where episodes were played; not for this alone
        return [] if seen is None else seen[1]
