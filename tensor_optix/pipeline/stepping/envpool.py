"""EnvPool's environments, known by their shape: the package itself is never imported."""

from __future__ import annotations

from typing import Any

from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.pipeline.stepping.vector_env import VectorGuard


class EnvPoolGuard(VectorGuard):
    """An EnvPool, guarded.

    It takes its seed when it is made and ignores ``reset(seed=...)``, so it is made anew for a seed.
    """

    @classmethod
    def serves(cls, env: Any) -> bool:
        """Tell whether the innermost environment is an EnvPool."""
        inner = getattr(env, "unwrapped", env)
        return hasattr(type(getattr(inner, "spec", None)), "gen_config") and hasattr(inner, "config")

    @property
    def _config(self) -> dict[str, Any]:
        """What it was made with."""
        return dict(getattr(self.env, "unwrapped", self.env).config)

    def _count_envs(self) -> int:
        num_envs = self._config["num_envs"]
        if self._config.get("batch_size", 0) not in (0, num_envs):
            raise InvalidArgumentError(
                f"An EnvPool must step all its environments at once: batch_size must equal num_envs={num_envs}. "
                f"Received: batch_size={self._config['batch_size']}. Leave `batch_size` out when making it."
            )
        return int(num_envs)

    def _reset(self, seed: int | None, options: dict[str, Any] | None) -> Any:
        if seed is not None:
            self.env = _rebuilt(self.env, seed)
        return super()._reset(None, options)

    def _has_time_limit(self) -> bool:
        return bool(self._config.get("max_episode_steps"))


def _rebuilt(env: Any, seed: int) -> Any:
    """Return the EnvPool made anew with ``seed``, inside the same wrappers."""
    if getattr(env, "unwrapped", env) is not env:
        env.env = _rebuilt(env.env, seed)
        return env
    spec_class = type(env.spec)
    config = {**env.config, "seed": seed}
    return type(env)(spec_class(spec_class.gen_config(**config)))
