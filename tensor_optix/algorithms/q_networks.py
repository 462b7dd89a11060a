"""Networks for action values, where the user brings none."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import keras
from keras import layers

from tensor_optix.adapters.tensorflow.models.default_networks import build_model


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
