"""What holds for every kind of action: singly as in batches, in the space, and the same in all three halves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from tensor_optix.adapters.tensorflow.actions.discrete import EpsilonGreedySampler
from tensor_optix.adapters.tensorflow.actions.squashed_gaussian import SquashedSampler
from tensor_optix.adapters.tensorflow.actions.table import KINDS, head_for

SPACES = {
    "discrete": spaces.Discrete(4, start=-2),
    "multi_discrete": spaces.MultiDiscrete(np.array([[2, 3], [4, 2]]), np.int32, start=np.array([[1, 0], [-7, 2]])),
    "multi_discrete_alike": spaces.MultiDiscrete([3, 3]),
    "multi_binary": spaces.MultiBinary((2, 3)),
    "box": spaces.Box(np.array([[-2.0, 0.0]]), np.array([[3.0, 0.5]]), dtype=np.float64),
    "half_bounded_box": spaces.Box(-np.inf, 1.5, (2,), np.float32),
    "scalar_box": spaces.Box(-1.0, 1.0, (), np.float32),
}
SAMPLERS = {name: (space, head_for(space)) for name, space in SPACES.items()} | {
    "epsilon_greedy": (spaces.Discrete(4, start=-2), EpsilonGreedySampler(4, -2, 0.5)),
    "squashed": (SPACES["box"], SquashedSampler.for_space(SPACES["box"])),
    "squashed_uniform": (SPACES["box"], SquashedSampler.for_space(SPACES["box"], uniform=True)),
}


@pytest.fixture(params=SAMPLERS)
def case(request):
    space, sampler = SAMPLERS[request.param]
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(30, sampler.num_outputs)).astype(np.float32)
    return space, sampler, outputs, sampler.draw_noise(rng, 30)


def test_each_kind_of_the_table_is_among_the_cases():
    assert {type(sampler) for _, sampler in SAMPLERS.values()} >= set(KINDS)


def test_actions_are_the_same_singly_as_in_batches_and_in_the_space(case):
    space, sampler, outputs, noise = case
    for many, one in [
        (sampler.sample(outputs, noise), [sampler.sample_one(o, z) for o, z in zip(outputs, noise, strict=True)]),
        (sampler.greedy(outputs), [sampler.greedy_one(o) for o in outputs]),
    ]:
        assert many.shape == (30, *space.shape)
        np.testing.assert_array_equal(np.stack(one), many)
        assert all(space.contains(action) for action in one)
        assert all(space.contains(action) for action in many)


def test_the_exported_layer_gives_the_greedy_action(case):
    _, sampler, outputs, _ = case
    exported = sampler.greedy_layer(keras.ops.convert_to_tensor(outputs)).numpy()
    np.testing.assert_allclose(exported, sampler.greedy(outputs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SPACES)
def test_what_acted_and_what_learns_call_an_action_equally_likely(name):
    _, head = SAMPLERS[name]
    rng = np.random.default_rng(1)
    outputs = rng.normal(size=(50, head.num_outputs)).astype(np.float32)
    actions = head.sample(outputs, head.draw_noise(rng, 50))
    encoded = tf.constant(head.encode(actions))
    assert head.encoded_spec.is_compatible_with(encoded)
    density = head.density(None if head.log_std is None else tf.constant(head.log_std))
    np.testing.assert_allclose(
        head.log_prob(outputs, actions), density.log_prob(outputs, encoded), rtol=1e-4, atol=1e-4
    )
    assert density.entropy(outputs).shape == (50,)


def test_in_its_own_space_nothing_changes(case):
    space, sampler, outputs, noise = case
    assert sampler.misfit(space, space) is None
    same = sampler.in_space(space, space)
    np.testing.assert_array_equal(same.sample(outputs, noise), sampler.sample(outputs, noise))
    assert sampler.misfit(space, spaces.Text(3)) == "another kind of space"
