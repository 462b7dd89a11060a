import gymnasium as gym
import keras
import numpy as np
import pytest
from gymnasium import spaces

from tensor_optix.adapters.tensorflow.models.default_networks import MAX_CHOICES, build_model
from tensor_optix.exceptions import UnsupportedSpaceError

VECTOR = spaces.Box(-1, 1, (4,))


def test_the_same_seed_gives_the_same_weights_and_each_layer_its_own():
    first, second, other = (build_model(VECTOR, 2, (4,), seed) for seed in (7, 7, 8))
    for ours, theirs in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(first.weights[0], other.weights[0])
    square = build_model(VECTOR, 4, (4, 4), 7)
    assert not np.array_equal(square.weights[0], square.weights[2])


def test_orthogonal_weights_have_the_gains_that_were_asked_for():
    model = build_model(VECTOR, (3, 1), (4,), 0, activation="tanh", gain=2.0, final_gains=(0.01, 1.0))
    gains = [np.linalg.svd(w, compute_uv=False) for w in model.weights if w.ndim == 2]
    for found, expected in zip(gains, (2.0, 0.01, 1.0), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert [tuple(y.shape) for y in model(np.zeros((5, 4)))] == [(5, 3), (5, 1)]
    hidden = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    assert hidden.activation is keras.activations.tanh


@pytest.mark.parametrize(
    "space",
    [
        VECTOR,
        spaces.Box(0, 255, (48, 48, 3), np.uint8),
        spaces.Box(0, 255, (3, 8, 8), np.uint8),
        spaces.Discrete(5, start=-2),
        spaces.MultiDiscrete([[2, 3], [4, 5]]),
        spaces.MultiBinary(3),
        spaces.Box(-1, 1, (0,)),
        spaces.Dict(a=spaces.Tuple([VECTOR, spaces.Discrete(3)]), b=spaces.MultiBinary((2, 2))),
    ],
)
def test_observations_as_the_space_has_them_are_taken(space):
    model = build_model(space, 2, (8,), 0)
    space.seed(0)
    samples = [space.sample() for _ in range(3)]
    batch = keras.tree.map_structure(lambda *parts: np.stack(parts).reshape(3, *np.shape(parts[0]) or (1,)), *samples)
    outputs = model(batch)
    assert outputs.shape == (3, 2)
    assert np.isfinite(outputs).all()
    if space.shape != (0,):
        assert len(np.unique(outputs, axis=0)) > 1, "it does not look at the observation"


def test_values_that_begin_anywhere_have_rows_of_their_own():
    model = build_model(spaces.Discrete(3, start=10**6), 2, (8,), 0)
    outputs = model(np.array([[10**6], [10**6 + 1], [10**6 + 2]]))
    assert len(np.unique(outputs, axis=0)) == 3
    assert model.count_params() < 2000


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Discrete(MAX_CHOICES + 1), "an embedding of 100,001 values from 0 on"),
        (spaces.Text(4), r"they have no fixed shape.*FlattenObservation"),
        (spaces.Dict(), "it is empty"),
        (gym.spaces.Dict(a=VECTOR, b=spaces.Text(4)), r"the part 'b' of .*FilterObservation"),
    ],
)
def test_what_there_is_no_network_for_says_what_to_do(space, message):
    with pytest.raises(UnsupportedSpaceError, match=message):
        build_model(space, 2)
