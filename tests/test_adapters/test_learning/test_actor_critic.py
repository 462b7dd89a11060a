"""A policy with and without a value function: what it gives, what it trains, what fits."""

import keras
import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.acting.model_inputs import inputs_of
from tensor_optix.adapters.tensorflow.learning.actor_critic import ActorCritic, PolicyNetwork, places_of
from tensor_optix.adapters.tensorflow.models.observation_normalizer import ObservationNormalizer
from tensor_optix.exceptions import IncompatibleModelError

EXAMPLE = np.zeros(3, np.float32)
SEEN = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def linear(size, outputs=1):
    entry = keras.Input((3,))
    made = [keras.layers.Dense(size if i == 0 else 1)(entry) for i in range(outputs)]
    return keras.Model(entry, made if outputs > 1 else made[0])


def test_a_policy_alone_has_no_values():
    actor = linear(2)
    network = PolicyNetwork(actor, inputs_of(actor, EXAMPLE))
    outputs, values = network([SEEN])
    np.testing.assert_allclose(outputs, SEEN @ actor.get_weights()[0] + actor.get_weights()[1], rtol=1e-5, atol=1e-6)
    assert values is None
    assert not network.has_values
    assert network.acting_model(ObservationNormalizer(network.inputs, False)) is actor


def test_two_models_give_outputs_and_values():
    actor, critic = linear(2), linear(1)
    network = ActorCritic(actor, critic, EXAMPLE, 2, "one logit per action")
    outputs, values = network([SEEN])
    kernel, bias = critic.get_weights()
    np.testing.assert_allclose(values, (SEEN @ kernel + bias)[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(network.value([SEEN]), values)
    np.testing.assert_array_equal(network.outputs([SEEN]), outputs)
    assert network.trainable_variables == [*actor.trainable_variables, *critic.trainable_variables]


def test_one_model_may_give_both_and_acts_by_the_first():
    both = linear(2, outputs=2)
    network = ActorCritic(both, None, EXAMPLE, 2, "one logit per action")
    outputs, values = network([SEEN])
    np.testing.assert_array_equal(values, both(SEEN)[1][:, 0])
    np.testing.assert_array_equal(network.value([SEEN]), values)
    acting = network.acting_model(ObservationNormalizer(network.inputs, False))
    np.testing.assert_array_equal(acting(SEEN), outputs)


def test_shared_weights_are_trained_once():
    entry = keras.Input((3,))
    trunk = keras.layers.Dense(4)
    actor, critic = (keras.Model(entry, keras.layers.Dense(k)(trunk(entry))) for k in (2, 1))
    network = ActorCritic(actor, critic, EXAMPLE, 2, "one logit per action")
    assert len(network.trainable_variables) == 6


def test_acting_sees_what_learning_sees():
    actor = linear(2)
    network = ActorCritic(actor, linear(1), EXAMPLE, 2, "one logit per action")
    normalizer = ObservationNormalizer(network.inputs, True)
    normalizer.observe([10.0 + 3.0 * SEEN])
    acting = network.acting_model(normalizer)
    raw = (7.0 + SEEN).astype(np.float32)
    np.testing.assert_allclose(acting(raw), network.outputs(normalizer([raw])), rtol=1e-6)
    assert np.abs(acting(raw) - actor(raw)).max() > 0.1


@pytest.mark.parametrize(
    ("actor", "critic", "message"),
    [
        (linear(3), linear(1), r"must give one output of shape \(batch, 2\): one logit per action"),
        (linear(2), None, r"and, as there is no critic, one of shape \(batch, 1\): the value"),
        (linear(2), linear(2), r"must give one output of shape \(batch, 1\): the value. It gives 1 of shapes"),
    ],
)
def test_what_does_not_fit_is_named(actor, critic, message):
    with pytest.raises(IncompatibleModelError, match=message):
        ActorCritic(actor, critic, EXAMPLE, 2, "one logit per action")


def test_a_critic_may_leave_parts_out_but_not_ask_for_more():
    parts = {"a": np.zeros(2, np.float32), "b": np.zeros(1, np.float32)}

    def model_of(*names):
        entries = {name: keras.Input(parts[name].shape, name=name) for name in names}
        joined = keras.layers.Concatenate()(list(entries.values())) if len(names) > 1 else entries[names[0]]
        return keras.Model(entries, keras.layers.Dense(1)(joined))

    whole, part = (inputs_of(model_of(*names), parts) for names in (("a", "b"), ("b",)))
    assert places_of(part, whole.paths, whole.names) == [list(whole.names).index("b")]
    with pytest.raises(IncompatibleModelError, match="takes the part 'a' of an observation, which the actor does not"):
        places_of(whole, part.paths, part.names)
