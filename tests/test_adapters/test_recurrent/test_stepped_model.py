"""Models run through many steps, against one call a step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.memory_makers import counting_model, gru_model, lstm_layer_model, random_flags, step_by_step

from tensor_optix.adapters.tensorflow.models.memory_models import memory_of
from tensor_optix.adapters.tensorflow.recurrent.stepped_model import SteppedModel
from tensor_optix.exceptions import IncompatibleModelError

EXAMPLE = np.zeros(4, np.float32)
MODELS = {
    "cell": gru_model,
    "cell beside a skip": lambda: gru_model(skip=True),
    "layer": lstm_layer_model,
    "a count and what was seen before": counting_model,
}


@pytest.mark.parametrize("kind", MODELS)
def test_unrolled_outputs_and_states_are_those_of_one_call_a_step(kind):
    model, rng, (length, num_envs) = MODELS[kind](), np.random.default_rng(0), (9, 3)
    memory = memory_of(model, EXAMPLE)
    seen = rng.normal(size=(length, num_envs, 4)).astype(np.float32)
    first = random_flags(rng, (length, num_envs), 0.3)
    states = [(3 * rng.normal(size=(num_envs, *s.shape))).astype(s.dtype) for s in memory.states]
    results, after = SteppedModel(memory).unroll([tf.constant(seen.reshape(-1, 4))], tf.constant(first), states)
    for n in range(num_envs):
        outputs, kept = step_by_step(model, seen[:, n], first[:, n], [state[n] for state in states])
        for found, expected in zip(results, outputs, strict=True):
            rows = np.asarray(found).reshape(length, num_envs, -1)[:, n]
            np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
        for found, expected in zip(after, kept, strict=True):
            np.testing.assert_allclose(np.asarray(found)[:, n], expected, rtol=1e-5, atol=1e-6)


def test_gradients_go_back_through_the_steps_up_to_where_an_episode_begins():
    model, rng = gru_model(), np.random.default_rng(1)
    stepped = SteppedModel(memory_of(model, EXAMPLE))
    seen, first = tf.constant(rng.normal(size=(5, 4)), tf.float32), np.zeros((5, 1), bool)
    first[3] = True
    with tf.GradientTape() as tape:
        tape.watch(seen)
        results, _ = stepped.unroll([seen], tf.constant(first), [tf.ones((1, 6))])
        last = tf.reduce_sum(results[0][-1])
    reached = np.abs(tape.gradient(last, seen).numpy()).sum(axis=1) > 0
    np.testing.assert_array_equal(reached, [False, False, False, True, True])


def test_weights_get_the_gradients_of_calls_step_by_step():
    model, rng = gru_model(), np.random.default_rng(2)
    seen = tf.constant(rng.normal(size=(4, 2, 4)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        results, _ = SteppedModel(memory_of(model, EXAMPLE)).unroll(
            [tf.reshape(seen, (-1, 4))], tf.zeros((4, 2), tf.bool), [tf.zeros((2, 6))]
        )
        unrolled, state, stepped = tf.reduce_sum(tf.square(results[0])), tf.zeros((2, 6)), 0.0
        for t in range(4):
            outputs, _, state = model([seen[t], state])
            stepped += tf.reduce_sum(tf.square(outputs))
    for variable in model.trainable_variables:
        found, expected = (tape.gradient(x, variable.value) for x in (unrolled, stepped))
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_what_layers_add_to_the_loss_at_each_call_must_be_outside_of_the_loop():
    seen, state = keras.Input((4,)), keras.Input((6,))
    x = keras.layers.Concatenate()([seen, state])
    after = keras.layers.Dense(6, activity_regularizer="l2", name="within")(x)
    model = keras.Model([seen, state], [keras.layers.Dense(3)(after), keras.layers.Dense(1)(after), after])
    with pytest.raises(IncompatibleModelError, match="'within' leads from states to new states"):
        SteppedModel(memory_of(model, EXAMPLE))
