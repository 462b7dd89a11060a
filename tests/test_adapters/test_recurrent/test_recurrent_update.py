"""Gradient steps on sequences: what is rated, what is learned from, against one call a step."""

import dataclasses

import gymnasium as gym
import keras
import numpy as np
import pytest
from helpers.memory_makers import counting_model, gru_model, memory_agent, remembered_window, step_by_step

from tensor_optix.adapters.tensorflow.learning.window_steps import read_steps
from tensor_optix.exceptions import InvalidArgumentError

SETTINGS = {"learning_rate_factor": 0.0, "clip_ratio": 0.2, "entropy_coef": 0.0, "value_coef": 0.5}


def rated_window(agent, window):
    steps = read_steps(window, agent._inputs, agent._sampler)
    update = agent._learner._update
    return update, update.rate(steps), steps


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("make", [gru_model, counting_model])
@pytest.mark.parametrize("length", [20, 5, 16])
def test_values_and_log_probabilities_are_those_of_one_call_a_step(make, length):
    agent = memory_agent(make(), normalize_observations=False)
    remembered_window(agent)  # so that states are not zeros when the window begins
    window = remembered_window(agent, 1, length)
    _, rated, _ = rated_window(agent, window)
    ended = window.terminated | window.truncated
    for n in range(2):
        first = np.concatenate([[False], ended[:-1, n]])
        states = [state[n] for state in window.initial_states]
        (logits, values), kept = step_by_step(agent.model, window.observations[:, n], first, states)
        expected = np.take_along_axis(log_softmax(logits), window.actions[:, n, None], axis=1)[:, 0]
        np.testing.assert_allclose(rated.values.reshape(length, 2)[:, n], values[:, 0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(rated.log_probs.reshape(length, 2)[:, n], expected, rtol=1e-5, atol=1e-5)
        check_successors(agent, window, rated, n, kept)


def check_successors(agent, window, rated, n, kept):
    """A successor is valued with the states after its step, also where the episode was cut there."""
    ended = window.terminated | window.truncated
    ended[-1] = True
    place = {tuple(at): i for i, at in enumerate(np.argwhere(ended))}
    for t in np.flatnonzero(ended[:, n]):
        given = [window.next_observations[t, n], *[state[t] for state in kept]]
        value = agent.model([keras.ops.convert_to_tensor(x[None]) for x in given])[1]
        np.testing.assert_allclose(rated.successor_values[place[t, n]], np.asarray(value)[0, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [20, 16])
def test_ratios_are_1_at_the_first_gradient_step(length):
    agent = memory_agent(params={"num_epochs": 1})
    for number in range(3):  # the second and third window go on with episodes that are running
        window = remembered_window(agent, number, length)
        update, rated, steps = rated_window(agent, window)
        before = agent.get_state().arrays
        draws = np.arange(len(update.drawable(steps.valid)), dtype=np.int32)[None]
        told, _ = update(
            rated,
            np.ones(steps.size),
            np.zeros(steps.size),
            draws,
            1,
            {**SETTINGS, "max_grad_norm": 1.0, "kl_limit": 1.0},
        )
        assert abs(told["policy_loss"] + 1) < 1e-5
        assert told["clip_fraction"] == 0
        assert told["kl"] < 1e-9
        agent.set_state(dataclasses.replace(agent.get_state(), arrays=before))
        agent.learn(window)


def test_rows_behind_the_end_of_a_window_and_resets_count_for_nothing():
    """A loss over a window that fills no whole number of sequences is the mean over its own valid steps."""
    agent, rng = memory_agent(), np.random.default_rng(3)
    window = remembered_window(agent, 0, 11)
    valid = rng.random((11, 2)) > 0.2
    window = dataclasses.replace(window, valid=valid)
    update, rated, _ = rated_window(agent, window)
    returns = rng.normal(size=22)
    draws = np.arange(4, dtype=np.int32)[None]
    settings = {**SETTINGS, "max_grad_norm": 1.0, "kl_limit": 1.0}
    told, _ = update(rated, returns, returns, draws, 1, settings)
    counted = valid.reshape(-1)
    np.testing.assert_allclose(told["policy_loss"], -returns[counted].mean(), rtol=1e-5)
    np.testing.assert_allclose(told["value_loss"], np.square(rated.values - returns)[counted].mean(), rtol=1e-5)
    assert update.drawable(np.zeros((11, 2), bool)).sum() == 0


def test_several_environments_are_learned_from_as_each_alone():
    agent = memory_agent()
    window = remembered_window(agent, 0, 12, num_envs=3)
    _, together, _ = rated_window(agent, window)
    for n in range(3):
        fields = ["observations", "actions", "rewards", "terminated", "truncated", "next_observations"]
        alone = {name: getattr(window, name)[:, n] for name in fields}
        alone["initial_states"] = [state[n] for state in window.initial_states]
        _, rated, _ = rated_window(agent, dataclasses.replace(window, **alone))
        np.testing.assert_allclose(rated.values, together.values.reshape(12, 3)[:, n], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rated.log_probs, together.log_probs.reshape(12, 3)[:, n], rtol=1e-5, atol=1e-6)


def test_states_of_another_policy_are_refused():
    agent = memory_agent()
    window = dataclasses.replace(remembered_window(agent), initial_states=[np.zeros((2, 7), np.float32)])
    with pytest.raises(InvalidArgumentError, match=r"1 arrays of the shapes \[\(2, 6\)\]. Received: \[\(2, 7\)\]"):
        agent.learn(window)
    told_nothing = dataclasses.replace(window, initial_states=None)
    assert np.isfinite(agent.learn(told_nothing)["loss"])


@pytest.mark.slow
def test_compiled_updates_learn_the_same():
    found = []
    for compiles in (True, False):
        agent = memory_agent(action_space=gym.spaces.Box(-1, 1, (2,), np.float32), jit_compile=compiles)
        for number in range(2):
            agent.learn(remembered_window(agent, number, 10))
        found.append(agent.model.get_weights())
    for compiled, plain in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-3, atol=1e-5)
