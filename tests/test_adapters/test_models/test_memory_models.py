"""Models with memory: how they are told from others, and what does not fit."""

import gymnasium as gym
import keras
import numpy as np
import pytest
from helpers.memory_makers import THREE, VECTOR, counting_model, gru_model, lstm_layer_model

from tensor_optix.adapters.tensorflow.models.memory_models import memory_of
from tensor_optix.algorithms.dqn import DQNAgent
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import IncompatibleModelError

EXAMPLE = np.zeros(4, np.float32)
DICT = gym.spaces.Dict({"a": VECTOR, "b": gym.spaces.Box(0, 1, (2,), np.float32)})


def model_of(inputs, outputs):
    return keras.Model(inputs, outputs)


def test_states_are_what_comes_beside_the_observation():
    memory = memory_of(gru_model(), EXAMPLE)
    assert [(spec.name, spec.shape, spec.dtype) for spec in memory.states] == [("state", (6,), np.float32)]
    assert memory.output_shapes == [(None, 3), (None, 1)]
    assert len(memory_of(lstm_layer_model(), EXAMPLE).states) == 2
    assert [spec.shape for spec in memory_of(counting_model(), EXAMPLE).states] == [(1,), (2, 2)]


def test_an_observation_of_parts_comes_nested_before_the_states():
    example = {"a": np.zeros(4, np.float32), "b": np.zeros(2, np.float32)}
    parts = {"a": keras.Input((4,), name="a"), "b": keras.Input((2,), name="b")}
    state = keras.Input((3,))
    x = keras.layers.Concatenate()([*parts.values(), state])
    memory = memory_of(model_of([parts, state], [keras.layers.Dense(3)(x), keras.layers.Dense(3)(x)]), example)
    assert memory.inputs.names == ("a", "b")
    assert [spec.shape for spec in memory.states] == [(3,)]
    both = model_of([parts["a"], parts["b"]], keras.layers.Dense(3)(keras.layers.Concatenate()(list(parts.values()))))
    assert memory_of(both, example) is None
    assert memory_of(both, tuple(example.values())) is None


def test_a_model_of_observations_alone_has_no_memory():
    assert memory_of(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), EXAMPLE) is None


def bound(model, space=VECTOR, make=PPOAgent):
    agent = make(model)
    agent.bind(space, THREE)
    return agent


@pytest.mark.parametrize("values", [True, False])
def test_states_that_do_not_come_back_as_they_went_in_are_refused(values):
    seen, state = keras.Input((4,)), keras.Input((6,), name="hidden")
    x = keras.layers.Concatenate()([seen, state])
    outputs = [keras.layers.Dense(3)(x), *([keras.layers.Dense(1)(x)] if values else [])]
    with pytest.raises(IncompatibleModelError, match=r"'hidden'.*shape \(6,\) and dtype float32.*comes back.*\(5,\)"):
        bound(model_of([seen, state], [*outputs, keras.layers.Dense(5)(x)]))
    with pytest.raises(IncompatibleModelError, match=r"comes back with shape .* float64"):
        bound(model_of([seen, state], [*outputs, keras.layers.Dense(6, dtype="float64")(x)]))


def test_states_that_do_not_come_back_at_all_are_refused():
    seen, state = keras.Input((4,)), keras.Input((6,))
    x = keras.layers.Concatenate()([seen, state])
    with pytest.raises(IncompatibleModelError, match="takes 1 inputs beside the observation, and gives 1 outputs"):
        bound(model_of([seen, state], keras.layers.Dense(3)(x)))
    free = keras.Input((None,), name="free")
    pooled = keras.layers.Concatenate()([seen, keras.layers.GlobalMaxPooling1D()(keras.layers.Reshape((-1, 1))(free))])
    with pytest.raises(IncompatibleModelError, match=r"State 'free' .* must have a fixed shape"):
        bound(model_of([seen, free], [keras.layers.Dense(3)(pooled), keras.layers.Dense(1)(pooled), free]))


def test_agents_that_carry_no_states_say_who_does():
    with pytest.raises(IncompatibleModelError, match=r"\['state'\] beside the observation.*PPOAgent\(actor=model\)"):
        bound(gru_model(), make=lambda model: DQNAgent(model, hyperparams=HyperparamSet({}, 0)))


def test_a_layer_that_keeps_a_state_to_itself_is_refused():
    hidden = keras.layers.GRU(6, stateful=True, name="keeps")
    model = keras.Sequential([keras.Input((4,), batch_size=1), keras.layers.Reshape((1, 4)), hidden])
    with pytest.raises(IncompatibleModelError, match=r"'keeps' .* stateful=True.*its states as inputs and outputs"):
        bound(model)
