"""Write a policy, read it back, hold it against the agent; only what passes is put in its place."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tensor_optix.adapters.spaces.observation_parts import MASK_KEY
from tensor_optix.adapters.tensorflow.acting.forward import Forward
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.adapters.tensorflow.exporting.formats import FORMATS, ExportFormat, Run
from tensor_optix.adapters.tensorflow.exporting.misfits import written_and_read
from tensor_optix.adapters.tensorflow.exporting.noise import SymbolicNoise
from tensor_optix.adapters.tensorflow.exporting.observations import likely_masks, likely_observations, likely_states
from tensor_optix.adapters.tensorflow.exporting.parity import (
    check_allowed,
    check_single,
    largest_difference,
    num_other_actions,
)
from tensor_optix.adapters.tensorflow.models.memory_models import MemoryModel
from tensor_optix.adapters.tensorflow.models.observation_normalizer import ObservationNormalizer
from tensor_optix.adapters.tensorflow.recurrent.remembering_forward import RememberingForward
from tensor_optix.adapters.tensorflow.saving.policy_export import make_policy_model
from tensor_optix.core.checks import check_choice, check_flags, check_path
from tensor_optix.core.mask_layout import MaskLayout
from tensor_optix.exceptions import CheckpointError, ExportError, InvalidArgumentError

NUM_CHECKED = 1_000
"""Observations on which an export is held against the agent."""


@dataclass(frozen=True)
class PolicyParts:
    """What a policy is made of.

    Attributes:
        model: Gives the policy's outputs, alone or before others, for normalised observations.
        inputs: How observations reach it.
        sampler: What the outputs mean.
        normalizer: Of observations.
        forward: The same outputs, as the agent has them when it acts.
        observation_space: What one observation is in; None where that was never told.
        masks: How a mask of what is allowed is laid out, where the policy takes one; else None.
        memory: What of the model is memory; None for nothing.
    """

    model: Any
    inputs: ModelInputs
    sampler: ActionSampler
    normalizer: ObservationNormalizer
    forward: Forward
    observation_space: Any
    masks: MaskLayout | None = None
    memory: MemoryModel | None = None

    def as_model(self, act: Callable[[Any], Any]) -> keras.Model:
        """Return a Keras model on a copy of the weights, from raw observations to what ``act`` makes of the outputs.

        Where there are masks it also takes one, and ``act`` is given outputs under which nothing else has a chance.
        """
        made = (self.model, self.inputs)
        if self.masks is None:
            return make_policy_model(*made, act, self.normalizer.frozen, memory=self.memory)
        layer, size = self.sampler.masked_layer, self.masks.size
        return make_policy_model(
            *made, lambda x, mask: act(layer(x, mask)), self.normalizer.frozen, size, memory=self.memory
        )

    def outputs_model(self) -> keras.Model:
        """Return a Keras model of the outputs, whatever is allowed."""
        return make_policy_model(
            self.model, self.inputs, lambda outputs: outputs, self.normalizer.frozen, memory=self.memory
        )

    def expected(self, observations: list[np.ndarray], states: list[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs ``[N, K]`` of the agent as it acts and, behind them, what it remembers afterwards."""
        seen = self.inputs.structured(observations)
        if isinstance(self.forward, RememberingForward):
            return [np.asarray(given) for given in self.forward.stateless((seen, *states))]
        return [np.asarray(self.forward(seen))]

    def drawn_actions(self, outputs: Any) -> Any:
        """Return symbolic actions, drawn anew at each call."""
        try:
            noisy = self.sampler.noisy_layer(outputs, SymbolicNoise())
        except NotImplementedError as error:
            raise ExportError(f"Drawn actions of this kind cannot be exported: {error}") from error
        return self.sampler.greedy_layer(noisy)


@dataclass(frozen=True)
class Exported:
    """What an export came to.

    Attributes:
        path: Where it is.
        format: One of ``FORMATS``.
        largest_difference: Of what stands before the choice of an action, from the agent's, as a share where beyond 1.
        num_other_actions: How many actions were other ones, between options that are as good as equal.
        num_checked: Observations of the check.
        needs: What reading it takes beside the format's own runtime, in phrases.
        states: Inputs beside an observation; the outputs of the same names behind ``new_`` go in at the next step.
    """

    path: Path
    format: str
    largest_difference: float
    num_other_actions: int
    num_checked: int
    needs: tuple[str, ...] = ()
    states: tuple[str, ...] = ()

    def __str__(self) -> str:
        ties = f"; {self.num_other_actions} actions differ, between equals" if self.num_other_actions else ""
        needs = "".join(f" Reading it takes {need}." for need in self.needs)
        if self.states:
            names = ", ".join(self.states)
            news = ", ".join(f"new_{name}" for name in self.states)
            needs += f" Its inputs {names} are zeros at the beginning of an episode, and then its outputs {news}."
        return (
            f"{self.path.as_posix()}: {self.format}, held against the agent on {self.num_checked:,} observations: "
            f"outputs differ by at most {self.largest_difference:.1e}{ties}.{needs}"
        )


def export_policy(parts: PolicyParts, path: Any, format_name: str, deterministic: bool) -> Exported:
    """Write a policy in a format, and put it in its place once that format's own runtime acts as the agent does.

    Args:
        parts: The policy.
        path: Where to; what is there of the same kind is replaced.
        format_name: One of ``FORMATS``.
        deterministic: Whether it takes the greedy action; else it draws one.

    Raises:
        InvalidArgumentError: No such format, a path of another ending, or something else is there.
        MissingExtraError: The format's packages are not installed.
        ExportError: The format cannot hold the model, or what it holds acts otherwise.
        CheckpointError: Nothing can be written there.
    """
    check_flags(deterministic=deterministic)
    check_choice("format", format_name, tuple(FORMATS))
    check_path("path", path)
    kind = FORMATS[format_name]
    target = _checked_target(Path(path), kind, format_name)
    if not (deterministic or kind.is_random):
        able = ", ".join(repr(name) for name, other in FORMATS.items() if other.is_random)
        raise InvalidArgumentError(
            f"A {format_name!r} file cannot draw actions at random: what is random in Keras is silent at inference. "
            f"Take deterministic=True, or one of the formats {able}."
        )
    kind.require_packages()
    model = parts.as_model(parts.sampler.greedy_layer if deterministic else parts.drawn_actions)
    with _folder_beside(target) as folder:
        written = folder / target.name
        run = written_and_read(kind, model, written, format_name)
        twin = parts.outputs_model()
        run_outputs = written_and_read(kind, twin, folder / f"outputs{kind.suffix}", format_name)
        difference, num_others = _held_against(parts, run, run_outputs, format_name, deterministic)
        needs = kind.needs(written)
        _put_in_place(written, target)
    states = () if parts.memory is None else tuple(parts.memory.symbolic_states())
    return Exported(target, format_name, difference, num_others, NUM_CHECKED, needs, states)


def _held_against(
    parts: PolicyParts, run: Run, run_outputs: Run, format_name: str, deterministic: bool
) -> tuple[float, int]:
    """Return by how much outputs and states differ, and how many actions."""
    observations = likely_observations(parts.observation_space, parts.inputs, parts.normalizer, NUM_CHECKED)
    states = [] if parts.memory is None else likely_states(parts.memory, NUM_CHECKED)
    masks, observations = _with_masks(parts, observations)
    expected = parts.expected(observations, states)
    shown = _as_given(parts, observations, masks, states)
    try:
        actions, *after = run(shown)
        check_single(run, shown, actions, is_random=not deterministic)
        outputs, *after_outputs = run_outputs(_as_given(parts, observations, None, states))
        difference = largest_difference(expected[0], outputs)
        for state, *remembered in zip(expected[1:], after, after_outputs, strict=True):
            difference = max(difference, *(largest_difference(state, again) for again in remembered))
        if masks is not None:
            check_allowed(parts.sampler, actions, masks)
        return difference, num_other_actions(parts.sampler, expected[0], actions, masks) if deterministic else 0
    except ExportError as error:
        raise ExportError(
            f"Nothing was exported: what {format_name!r} holds is not what the agent is: {error}. Take another format; "
            "where layers compute in half precision, keras.config.set_dtype_policy('float32') before making the model."
        ) from None


def _with_masks(parts: PolicyParts, observations: list[np.ndarray]) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """Return masks to check on, None for none, and observations that hold them, where the model sees them there."""
    if parts.masks is None:
        return None, observations
    masks, paths = likely_masks(parts.masks, NUM_CHECKED), parts.inputs.paths
    if (MASK_KEY,) not in paths:
        return masks, observations
    place = paths.index((MASK_KEY,))
    seen = observations[place].dtype
    return masks, [masks.astype(seen) if i == place else part for i, part in enumerate(observations)]


def _as_given(
    parts: PolicyParts, observations: list[np.ndarray], masks: np.ndarray | None, states: list[np.ndarray]
) -> list[np.ndarray]:
    """Return one array for each input of the exported model, in its order."""
    beside = {f"state_{i}": state for i, state in enumerate(states)}
    if masks is not None and (MASK_KEY,) not in parts.inputs.paths:
        beside[MASK_KEY] = masks
    entry = parts.inputs.structured(observations)
    if not beside:
        return observations
    if isinstance(entry, tuple) and not states:
        return [*observations, *beside.values()]
    # Keras orders the entries of a dict by their keys.
    flat = keras.tree.flatten({**(entry if isinstance(entry, dict) else {"observation": entry}), **beside})
    return [np.asarray(part) for part in flat]


def _checked_target(path: Path, kind: ExportFormat, format_name: str) -> Path:
    """Return the path, if it ends as such files do, and nothing else would be lost there."""
    if path.suffix != kind.suffix and kind.suffix:
        raise InvalidArgumentError(
            f"The path of a {format_name!r} export must end in {kind.suffix!r}. Received: {path.as_posix()!r}. "
            f"Take {path.with_suffix(kind.suffix).as_posix()!r}."
        )
    if path.is_dir() and (kind.suffix or (any(path.iterdir()) and not (path / "saved_model.pb").exists())):
        raise InvalidArgumentError(
            f"{path.as_posix()} is a folder that holds something else: it is left alone. Name another path."
        )
    if path.exists() and not (kind.suffix or path.is_dir()):
        raise InvalidArgumentError(
            f"{path.as_posix()} is a file, and {format_name!r} makes a folder. Name another path."
        )
    return path


@contextlib.contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """Make a folder on the same disk, for what is not whole yet."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent)
    except OSError as error:
        raise CheckpointError(
            f"{target.parent.as_posix()} cannot be written to: {error.strerror or error}. Name another path."
        ) from error
    with folder as name:
        yield Path(name)


def _put_in_place(written: Path, target: Path) -> None:
    if target.is_dir():
        target.rename(written.parent / "before")
    written.replace(target)
