"""What models add to a loss, taken apart."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.keras_oracles import network

from tensor_optix.adapters.tensorflow.acting.model_inputs import inputs_of
from tensor_optix.adapters.tensorflow.learning import model_losses
from tensor_optix.adapters.tensorflow.learning.actor_critic import ActorCritic, PolicyNetwork

X = tf.constant(np.random.default_rng(0).normal(size=(6, 3)), tf.float32)


def test_calls_and_weights_make_up_all_that_keras_adds():
    model = network(("regularizers", "activity", "add_loss"), 2, 0)
    model(X)
    called, weights = model_losses.from_call(model), model_losses.from_weights(model.trainable_variables)
    assert (len(called), len(weights)) == (2, 2)
    assert float(model_losses.total([*called, *weights])) == pytest.approx(float(sum(model.losses)))


def test_a_plain_model_adds_nothing():
    model = network((), 2, 0)
    model(X)
    assert model_losses.total([*model_losses.from_call(model), *model_losses.from_weights(model.variables)]) is None
    assert PolicyNetwork(model, inputs_of(model)).trained_on([X])[2] is None


def test_layers_of_both_actor_and_critic_count_as_in_one_model():
    entry = keras.Input((3,))
    trunk = network(("regularizers", "activity", "add_loss"), 4, 0)(entry)
    actor = keras.Model(entry, keras.layers.Dense(2, kernel_regularizer="l2")(trunk))
    critic = keras.Model(entry, keras.layers.Dense(1)(trunk))
    both = ActorCritic(actor, critic, np.zeros(3, np.float32), 2, "logits").trained_on([X])[2]
    one_model = keras.Model(entry, [actor.output, critic.output])
    one_model(X)
    regularized = float(sum(model_losses.from_weights(one_model.trainable_variables)))
    called = float(sum(model_losses.from_call(one_model)))
    assert float(both) == pytest.approx(regularized + 2 * called), (
        "each regulariser once, calls as often as they are made"
    )
    alone = ActorCritic(one_model, None, np.zeros(3, np.float32), 2, "logits").trained_on([X])[2]
    assert float(alone) == pytest.approx(regularized + called)
