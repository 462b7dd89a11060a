"""What a run was set up with, as trackers list it."""

from __future__ import annotations

from typing import Any

from tensor_optix.core.run_view import RunView


def settings_of(run: RunView) -> dict[str, Any]:
    """Return agent, environment, seed and hyperparameters of a run as numbers and texts."""
    environment = run.environment
    settings: dict[str, Any] = {
        "agent": type(run.agent).__name__,
        "env_id": str(environment.get("env_id")),
        "num_envs": environment.get("num_envs", 1),
        "seed": run.seed,
        "budget": run.budget or "until nothing more is gained",
    }
    settings |= {f"env/{key}": value for key, value in environment.get("env_kwargs", {}).items()}
    settings |= run.agent.get_hyperparams().params
    return {key: value if isinstance(value, (bool, int, float, str)) else str(value) for key, value in settings.items()}


def run_name(run: RunView) -> str:
    """Return what a tracker calls a run: its folder, or its environment where it has none."""
    return str(run.environment.get("env_id") or "run") if run.run_dir is None else run.run_dir.name
