"""A network on weights of its own: what it says, what it follows, and what it leaves alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix.algorithms.shadow_network import ShadowNetwork, drawn_again, reshuffled

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)

    def call(self, inputs):
        return self.outer(self.inner(inputs))


def model_of(kind):
    keras.utils.set_random_seed(0)
    if kind == "subclassed":
        model = Subclassed()
    else:
        layers = [keras.layers.Dense(4, "tanh"), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
        model = keras.Sequential([keras.Input((3,)), *layers])
    model(X)
    return model


@pytest.fixture(params=["sequential", "subclassed"])
def model(request):
    return model_of(request.param)


def shift(model, by=1.0):
    for variable in model.trainable_variables:
        variable.assign(variable + by)


def test_it_begins_as_the_model_and_stays_when_that_moves_on(model):
    shadow = ShadowNetwork(model, model)
    before = model(X).numpy()
    np.testing.assert_array_equal(shadow(X), before)
    shift(model)
    assert not np.allclose(model(X), before)
    np.testing.assert_allclose(shadow(X), before, rtol=1e-6)


def test_it_may_begin_elsewhere_and_the_model_knows_nothing_of_it(model):
    before, weights = model(X).numpy(), [w.copy() for w in model.get_weights()]
    shadow = ShadowNetwork(model, model, [np.zeros(v.shape, np.float32) for v in model.trainable_variables])
    np.testing.assert_array_equal(shadow(X), np.zeros((5, 2)))
    np.testing.assert_array_equal(model(X), before)
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("tau", [0.0, 0.25, 1.0])
def test_it_moves_towards_others(model, tau):
    shadow = ShadowNetwork(model, model)
    first = [v.numpy() for v in shadow.variables]
    shift(model)
    tf.function(lambda: shadow.move_towards(model.trainable_variables, tau))()
    for now, then in zip(shadow.variables, first, strict=True):
        np.testing.assert_allclose(now.numpy(), then + tau, rtol=1e-6, atol=1e-6)


def test_gradients_reach_its_own_weights_also_when_traced(model):
    shadow = ShadowNetwork(model, model)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(shadow(X) ** 2)
        return tape.gradient(loss, [v.value for v in shadow.variables])

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(X) ** 2)
    expected = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for found, own in zip(gradients(), expected, strict=True):
        np.testing.assert_allclose(found, own, rtol=1e-4, atol=1e-5)


def test_another_draw_has_the_same_entries_and_leaves_vectors():
    model = model_of("sequential")
    values = [v.numpy() for v in model.trainable_variables]
    drawn = reshuffled(np.random.default_rng(0), model.trainable_variables)
    again = reshuffled(np.random.default_rng(0), model.trainable_variables)
    for value, other, same in zip(values, drawn, again, strict=True):
        np.testing.assert_array_equal(other, same)
        np.testing.assert_array_equal(np.sort(other.ravel()), np.sort(value.ravel()))
        assert (value.ndim == 1) == np.array_equal(other, value)


@pytest.mark.parametrize("initializer", ["glorot_uniform", "orthogonal", keras.initializers.HeNormal(seed=3)])
def test_what_is_as_it_was_drawn_is_drawn_again_by_its_initializer(initializer):
    body = keras.layers.Dense(64, "tanh", kernel_initializer=initializer)
    model = keras.Sequential([keras.Input((32,)), body, keras.layers.Dense(2)])
    kernel, bias, *_ = drawn_again(5, model)
    own = body.kernel.numpy()
    assert abs(np.corrcoef(kernel.ravel(), own.ravel())[0, 1]) < 0.1
    assert kernel.std() == pytest.approx(own.std(), rel=0.1)
    if initializer == "orthogonal":
        np.testing.assert_allclose(kernel @ kernel.T, np.eye(32), atol=1e-5)
    np.testing.assert_array_equal(bias, np.zeros(64))
    np.testing.assert_array_equal(drawn_again(5, model)[0], kernel)
    assert (drawn_again(6, model)[0] != kernel).any()


def test_what_was_learned_is_copied_and_a_new_head_is_drawn_again(model):
    first, *_, last = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    shift(model)
    last.kernel.assign(last.kernel_initializer(last.kernel.shape))
    for variable, value in zip(model.trainable_variables, drawn_again(5, model), strict=True):
        assert np.array_equal(variable.numpy(), value) == (variable is not last.kernel)
    assert first.kernel is model.trainable_variables[0]


class Noisy(keras.layers.Layer):
    """Draws anew in each call, also at inference."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(3)

    def call(self, x):
        self.add_loss(keras.ops.mean(x))
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)


def noisy_model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), Noisy(), keras.layers.Dense(2)])


def test_what_draws_draws_anew_in_each_call():
    model = noisy_model()
    shadow = ShadowNetwork(model, model)
    run = tf.function(lambda: shadow(X))
    first, second, own = run().numpy(), run().numpy(), model(X).numpy()
    assert not np.allclose(first, second)
    again = noisy_model()
    for expected in (first, second, own):  # one stream, shared with the model
        np.testing.assert_allclose(again(X), expected, rtol=1e-5, atol=1e-6)


def test_what_a_call_adds_is_that_of_its_own_weights():
    class Call:
        def __init__(self, model):
            self.model = model

        def __call__(self, x):
            return self.model(x)

        def trained_on(self, x):
            return self.model(x), list(self.model.losses)

    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.5), kernel_constraint="max_norm"),
        Noisy(),
    ]
    model = keras.Sequential([keras.Input((3,)), *layers])
    doubled = [2.0 * v.numpy() for v in model.trainable_variables]
    shadow = ShadowNetwork(model, Call(model), doubled)
    assert [v.constraint for v in shadow.variables] == [layers[0].kernel.constraint, None]
    _, losses = shadow.trained_on(X)
    kernel = doubled[0]
    np.testing.assert_allclose(
        sorted(map(float, losses)), sorted([(X @ kernel).mean(), 0.5 * (kernel**2).sum()]), rtol=1e-5
    )
