"""How many threads TensorFlow takes for an operation: one for small networks, and for a resumed run what it had."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from tensor_optix.core.storage.run_folder import read_run_json
from tensor_optix.exceptions import CheckpointError
from tensor_optix.presets import spaces_of

VARIABLE = "TF_NUM_INTRAOP_THREADS"
MAX_INPUTS = 4096
MAX_WEIGHTS = 2**19
"""Between hidden layers. Two threads on matrices smaller than these wait for each other more than they work."""

MAX_THREADS = 1024


@contextlib.contextmanager
def intra_op_threads(number: str | None) -> Iterator[None]:
    """Let TensorFlow take so many threads for an operation, unless the user has set it, or it is loaded already.

    Args:
        number: How many; None: as many as it takes by itself.
    """
    if number is None or VARIABLE in os.environ or "tensorflow" in sys.modules:
        yield
        return
    os.environ[VARIABLE] = number
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)


def threads_for(env: Any, overrides: Mapping[str, Any]) -> str | None:
    """Return one thread for a run whose networks are small.

    Args:
        env: The run's environment, by its name.
        overrides: The agent's settings.
    """
    return "1" if are_small(spaces_of(env)[0], overrides.get("hidden_units")) else None


def threads_of(run_dir: Path) -> str | None:
    """Return what a run began with, so that its sums are rounded as then; None: as many as TensorFlow takes.

    What its folder does not say, or says and cannot be, is None, too.
    """
    try:
        recorded = read_run_json(run_dir).get("threads")
    except CheckpointError:
        return None
    number = recorded.get(VARIABLE) if isinstance(recorded, dict) else None
    is_number = isinstance(number, str) and number.isascii() and number.isdigit() and 0 < int(number) <= MAX_THREADS
    return str(number) if is_number else None


def are_small(observations: gym.Space[Any], hidden_units: Any) -> bool:
    """Tell whether networks for these observations, with such hidden layers, gain nothing from a second thread."""
    if _has_images(observations) or gym.spaces.flatdim(observations) > MAX_INPUTS:
        return False
    try:
        units = [int(units) for units in hidden_units or ()]
    except (TypeError, ValueError):  # whoever makes the agent says so
        return False
    return sum(before * after for before, after in itertools.pairwise(units)) <= MAX_WEIGHTS


def _has_images(space: gym.Space[Any]) -> bool:
    parts = getattr(space, "spaces", None)
    if parts is not None:
        return any(_has_images(part) for part in (parts.values() if isinstance(parts, Mapping) else parts))
    return len(space.shape or ()) > 2 or (space.dtype == np.uint8 and len(space.shape or ()) > 1)
