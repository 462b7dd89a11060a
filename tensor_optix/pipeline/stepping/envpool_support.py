"""What is different about EnvPool, known by its shape: the package itself is never imported."""

from __future__ import annotations

from typing import Any

from tensor_optix.exceptions import InvalidArgumentError


def is_envpool(env: Any) -> bool:
    """Tell whether the innermost environment is an EnvPool."""
    inner = getattr(env, "unwrapped", env)
    return hasattr(type(getattr(inner, "spec", None)), "gen_config") and hasattr(inner, "config")


def config_of(env: Any) -> dict[str, Any]:
    """Return what the EnvPool was made with."""
    return dict(getattr(env, "unwrapped", env).config)


def check_synchronous(env: Any) -> None:
    """Raise unless each step of the EnvPool steps all of its environments."""
    config = config_of(env)
    if config.get("batch_size", 0) not in (0, config["num_envs"]):
        raise InvalidArgumentError(
            f"An EnvPool must step all its environments at once: batch_size must equal num_envs={config['num_envs']}. "
            f"Received: batch_size={config['batch_size']}. Leave `batch_size` out when making it."
        )


def rebuilt(env: Any, seed: int) -> Any:
    """Return the EnvPool made anew with ``seed``, inside the same wrappers.

    EnvPool takes its seed when it is made and ignores ``reset(seed=...)``.
    """
    if getattr(env, "unwrapped", env) is not env:
        env.env = rebuilt(env.env, seed)
        return env
    spec_class = type(env.spec)
    config = {**env.config, "seed": seed}
    return type(env)(spec_class(spec_class.gen_config(**config)))
