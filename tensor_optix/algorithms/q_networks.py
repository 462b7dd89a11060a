"""Networks that value actions: one number per action, or critics that rate an observation together with an action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tensor_optix.adapters.spaces.observation_parts import Path, parts_of, restricted
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs, inputs_of
from tensor_optix.adapters.tensorflow.learning import model_losses
from tensor_optix.adapters.tensorflow.learning.actor_critic import check_critic, places_of
from tensor_optix.adapters.tensorflow.models.default_networks import build_model
from tensor_optix.adapters.tensorflow.models.model_checks import probe
from tensor_optix.exceptions import IncompatibleModelError

ACTION = "action"


def build_q_network(
    observation_space: gym.Space[Any], num_actions: int, hidden_units: tuple[int, ...], seed: int, *, dueling: bool
) -> keras.Model:
    """Return a model that gives one value per action, ``[batch, num_actions]``.

    Args:
        observation_space: Space of one observation.
        num_actions: Number of actions.
        hidden_units: Units of each hidden layer.
        seed: Source of the initial weights.
        dueling: Whether the last layer splits into the value of the state and an advantage per
            action, of mean 0. See "Dueling Network Architectures" (Wang et al., 2016), equation 9.
    """
    if not dueling:
        return build_model(observation_space, num_actions, hidden_units, seed)
    streams = build_model(observation_space, (1, num_actions), hidden_units, seed, final_gains=(None, None))
    value, advantages = streams.outputs
    average = layers.GlobalAveragePooling1D("channels_last", name="mean_advantage")
    mean = average(layers.Reshape((num_actions, 1))(advantages))
    return keras.Model(streams.input, layers.Subtract()([layers.Add()([value, advantages]), mean]))


class ActionCritic:
    """Calls a Keras model with the parts of an observation and an action.

    For an observation that is one array the model takes ``[observation, action]``; for a tuple the
    action comes last; for a dict the model takes a dict that holds the action as ``"action"``, or, where
    the observation has a part of that name, as ``"action_"``.

    Args:
        model: Gives one value, ``[batch, 1]``.
        example: One observation.
        num_actions: K, dimensions of a unit action.
        actor_inputs: In which order the parts of observations come.

    Raises:
        IncompatibleModelError: The model does not take these inputs, or gives something else.
    """

    def __init__(self, model: keras.Model, example: Any, num_actions: int, actor_inputs: ModelInputs) -> None:
        self._model = model
        joined = _with_action(example, np.zeros(num_actions, np.float32))
        inputs, num_parts = inputs_of(model, joined), len(list(parts_of(joined)))
        if isinstance(joined, tuple) and len(inputs.names) != num_parts:
            raise IncompatibleModelError(
                f"Critic '{model.name}' must take {num_parts} inputs: the observation, then the action of "
                f"{num_actions} numbers. It takes {len(inputs.names)}. Build it with "
                "keras.Model([observation, action], value)."
            )
        self._inputs, shapes = probe(model, joined)
        check_critic(model, shapes, "the value of an action")
        self._places = self._place_parts(example, actor_inputs)

    def __call__(self, parts: Sequence[Any], actions: Any) -> Any:
        """Return values ``[B]`` of unit actions ``[B, K]``; can be traced."""
        given, num_rows = [*parts, actions], tf.shape(actions)[0]
        tensors = [
            tf.cast(given[place] if None in shape else tf.reshape(given[place], (num_rows, *shape)), dtype)
            for place, shape, dtype in zip(self._places, self._inputs.shapes, self._inputs.dtypes, strict=True)
        ]
        return tf.cast(self._model(self._inputs.pack(tensors), training=False)[:, 0], tf.float32)

    def trained_on(self, parts: Sequence[Any], actions: Any) -> tuple[Any, Any]:
        """Return values, and what the model adds to the loss, a scalar, None for nothing; can be traced."""
        values = self(parts, actions)
        return values, model_losses.total(self._model.losses)

    def _place_parts(self, example: Any, actor_inputs: ModelInputs) -> list[int]:
        """Return which of the actor's parts, or the action after them, each input takes."""
        is_nested = isinstance(example, Mapping | tuple)
        given = [path if is_nested else (0, *path) for path in actor_inputs.paths]
        given.append((_action_key(example),) if is_nested else (1,))
        return places_of(self._inputs, given, actor_inputs.names)


def build_critic(
    observation_space: gym.Space[Any],
    num_actions: int,
    hidden_units: tuple[int, ...],
    seed: int,
    paths: Sequence[Path] | None = None,
) -> keras.Model:
    """Return a critic for observations of this space and unit actions of ``num_actions`` dimensions.

    Args:
        observation_space: Space of one observation.
        num_actions: K, dimensions of a unit action.
        hidden_units: Units of each hidden layer.
        seed: Source of the initial weights.
        paths: Which parts of a Dict the critic sees; None for all.
    """
    box = gym.spaces.Box(-1.0, 1.0, (num_actions,), np.float32)
    if isinstance(observation_space, gym.spaces.Dict):
        seen: Any = observation_space if paths is None else restricted(observation_space, paths)
        joined: gym.Space[Any] = gym.spaces.Dict({**seen.spaces, _action_key(observation_space.spaces): box})
    elif isinstance(observation_space, gym.spaces.Tuple):
        joined = gym.spaces.Tuple([*observation_space.spaces, box])
    else:
        joined = gym.spaces.Tuple([observation_space, box])
    return build_model(joined, 1, hidden_units, seed)


def _with_action(example: Any, action: np.ndarray) -> Any:
    if isinstance(example, Mapping):
        return {**example, _action_key(example): action}
    return (*example, action) if isinstance(example, tuple) else (example, action)


def _action_key(example: Any) -> Any:
    """Return under which key of an observation with an action the action is."""
    if isinstance(example, tuple):
        return len(example)
    numbers = [key for key in example if isinstance(key, int)]
    if numbers:  # Keras sorts keys, and cannot compare numbers with strings
        return max(numbers) + 1
    key = ACTION
    while key in example:
        key += "_"
    return key
