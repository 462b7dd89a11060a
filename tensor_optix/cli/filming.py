"""An environment, made so that it draws pictures of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tensor_optix.exceptions import EnvironmentFailureError
from tensor_optix.pipeline.environment_names import EnvironmentName

RENDER_MODE = "rgb_array"


def environment_to_film(name: EnvironmentName) -> Any:
    """Return the environment with pictures; whoever asked for it closes it.

    Raises:
        EnvironmentFailureError: It cannot be made, or draws no pictures.
    """
    _refuse_without_pictures(name)
    env = replace(name, kwargs={**name.kwargs, "render_mode": RENDER_MODE})()
    if env.render_mode != RENDER_MODE:
        env.close()
        raise EnvironmentFailureError(f"{name} draws no pictures: something in it has another render mode.")
    return env


def _refuse_without_pictures(name: EnvironmentName) -> None:
    env = name()
    modes = env.metadata.get("render_modes") or []
    env.close()
    if RENDER_MODE not in modes:
        raise EnvironmentFailureError(
            f"{name} cannot be filmed: it has no render mode {RENDER_MODE!r}. "
            f"Its metadata name {', '.join(map(str, modes)) or 'none'}."
        )
