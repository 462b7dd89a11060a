"""Keras optimizers: the fused kernel against Keras's own Adam, rates, moments and copies."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix.adapters.tensorflow.hyperparameters import rate
from tensor_optix.adapters.tensorflow.learning.keras_optimizers import (
    apply_gradients,
    as_given,
    decays,
    exempt_as_saved,
    exempt_from_decay,
    forget_moments,
    fresh,
    is_built_for,
    is_plain_adam,
    rate_now,
    rate_of,
    say_which_rate,
    undecayed,
    unused_copy,
    with_rate_of,
)
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import InvalidTypeError, StateMismatchError

SHAPES = ((4, 3), (3,), ())


def moved(optimizer, apply, num_steps=5):
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape), dtype="float32") for shape in SHAPES]
    optimizer.build(variables)
    function = tf.function(lambda gradients: apply(gradients, variables), autograph=False)
    for _ in range(num_steps):
        function([tf.constant(rng.normal(size=shape) * 3, tf.float32) for shape in SHAPES])
    return [v.numpy() for v in (*variables, *optimizer.variables)]


@pytest.mark.parametrize("settings", [{}, {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}])
def test_it_moves_variables_and_slots_as_keras_does(settings):
    ours, theirs = keras.optimizers.Adam(**settings), keras.optimizers.Adam(**settings)
    found = moved(ours, lambda g, v: apply_gradients(ours, g, v))
    expected = moved(theirs, lambda g, v: theirs.apply(g, v))
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    assert is_plain_adam(ours)
    assert int(ours.iterations.numpy()) == 5


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(0.1, amsgrad=True),
        lambda: keras.optimizers.Adam(0.1, weight_decay=0.1),
        lambda: keras.optimizers.Adam(0.1, global_clipnorm=0.1),
        lambda: keras.optimizers.Adam(0.1, use_ema=True),
        lambda: keras.optimizers.AdamW(0.1),
        lambda: keras.optimizers.SGD(0.1, momentum=0.5),
    ],
)
def test_whatever_is_more_than_plain_adam_is_left_to_keras(optimizer):
    ours, theirs = optimizer(), optimizer()
    found = moved(ours, lambda g, v: apply_gradients(ours, g, v))
    expected = moved(theirs, lambda g, v: theirs.apply(g, v))
    assert not is_plain_adam(ours)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)


def trained(optimizer):
    variable = keras.Variable([1.0, 2.0])
    optimizer.build([variable])
    optimizer.apply([tf.constant([0.5, -0.5])], [variable])
    return variable


def test_a_rate_is_told_as_it_was_written():
    optimizer = keras.optimizers.Adam(0.007)
    assert rate_of(optimizer) == 0.007
    assert rate_now(optimizer) == pytest.approx(0.007, rel=1e-6)
    assert rate_now(optimizer) != 0.007, "float32"
    assert as_given(0.007, rate_now(optimizer)) == 0.007
    assert as_given(0.008, rate_now(optimizer)) == rate_now(optimizer)
    assert as_given(None, 0.25) == 0.25


def test_the_users_optimizer_tells_the_default_rate():
    known = {"learning_rate": rate(1e-3)}
    assert with_rate_of(None, known) is known
    assert with_rate_of(keras.optimizers.SGD(0.2), known)["learning_rate"].default == 0.2
    assert known["learning_rate"].default == 1e-3
    with pytest.raises(InvalidTypeError, match=r"must be a keras.optimizers.Optimizer"):
        with_rate_of("adam", known)


@pytest.mark.parametrize(
    ("own", "given", "is_said"),
    [(0.007, 0.1, True), (0.007, 0.007, False), (0.001, 0.1, False), (0.007, None, False)],
)
def test_two_rates_are_said_once_both_were_chosen(own, given, is_said, caplog):
    params = {} if given is None else {"learning_rate": given}
    say_which_rate(keras.optimizers.Adam(own), HyperparamSet(params, 0))
    assert ("Two learning rates were given" in caplog.text) is is_said


def test_forgetting_keeps_the_rate_and_nothing_else():
    optimizer = keras.optimizers.Adam(0.01)
    trained(optimizer)
    forget_moments(optimizer)
    assert rate_of(optimizer) == 0.01
    others = [v for v in optimizer.variables if v is not optimizer.learning_rate]
    assert others
    assert all(not np.any(v.numpy()) for v in others)


def test_a_copy_has_moved_nothing_and_is_built_for_its_own():
    optimizer, other = keras.optimizers.Adam(0.01, beta_1=0.5), keras.Variable([3.0])
    variable = trained(optimizer)
    copied = unused_copy(optimizer, [other])
    assert copied.beta_1 == 0.5
    assert int(copied.iterations.numpy()) == 0
    assert is_built_for(copied, [other])
    assert not is_built_for(copied, [variable])
    assert is_built_for(optimizer, [variable])
    assert not fresh(optimizer).built


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adagrad(0.01, initial_accumulator_value=0.3),
        lambda: keras.optimizers.Nadam(0.01),
        lambda: keras.optimizers.Ftrl(0.01),
        lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=9, gradient_accumulation_steps=2),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adagrad(0.01), initial_scale=64.0),
    ],
)
def test_what_forgot_moves_as_a_new_one(make):
    used, new = make(), make()
    variable = trained(used)
    forget_moments(used)
    other = keras.Variable(variable.numpy())
    new.build([other])
    for _ in range(2):
        for optimizer, moved_one in ((used, variable), (new, other)):
            optimizer.apply([tf.constant([0.3, 0.1])], [moved_one])
    np.testing.assert_array_equal(variable.numpy(), other.numpy())
    assert not np.array_equal(variable.numpy(), [1.0, 2.0])


def test_a_scale_of_losses_outlives_forgetting():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=64.0)
    trained(optimizer)
    optimizer.dynamic_scale.assign(16.0)
    forget_moments(optimizer)
    assert float(optimizer.dynamic_scale.numpy()) == 16.0
    assert rate_of(optimizer) == 0.01


class Rebuildless(keras.optimizers.SGD):
    def __init__(self, power):
        super().__init__(0.01 * power, momentum=0.9)


def test_one_that_cannot_be_made_anew_begins_at_zero_and_says_so(caplog):
    optimizer = Rebuildless(1)
    trained(optimizer)
    forget_moments(optimizer)
    assert "Rebuildless cannot be made anew from its get_config" in caplog.text
    assert rate_of(optimizer) == 0.01
    assert not optimizer.momentums[0].numpy().any()


def test_variables_are_exempt_from_decay_beside_those_of_the_user_and_copies_know():
    kernel, bias, spread = (keras.Variable([2.0], name=name) for name in ("kernel", "bias", "spread"))
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build([kernel, bias, spread])
    exempt_from_decay(optimizer, [spread])
    copied = unused_copy(optimizer, [kernel, bias, spread])
    for one in (optimizer, copied, keras.optimizers.LossScaleOptimizer(optimizer)):
        assert [decays(one, v) for v in (kernel, bias, spread)] == [True, False, False]
    optimizer.apply([tf.constant([0.0])] * 3, [kernel, bias, spread])
    np.testing.assert_allclose([v.numpy()[0] for v in (kernel, bias, spread)], [2.0 * 0.95, 2.0, 2.0])


def test_what_does_not_decay_is_saved_by_its_place():
    def built(optimizer):
        optimizer.build([keras.Variable([2.0], name=name) for name in ("kernel", "bias")])
        return optimizer

    plain, decaying = built(keras.optimizers.Adam()), built(keras.optimizers.AdamW())
    assert undecayed([plain, decaying]) == []
    exempt_from_decay(decaying, decaying._trainable_variables[1:])
    exempt_from_decay(plain, plain._trainable_variables)
    assert undecayed([plain, decaying]) == [[], [1]]
    loaded = built(keras.optimizers.AdamW())
    exempt_as_saved([plain, loaded], [[], [1]])
    assert undecayed([loaded]) == [[1]]
    for wrong in ([[1]], [[], [2]], [[], ["1"]], "x"):
        with pytest.raises(StateMismatchError, match=r"leave the variables .* alone in weight decay"):
            exempt_as_saved([plain, loaded], wrong)


def test_constrained_variables_are_left_to_keras():
    ours, theirs = (keras.Variable([1.0, 1.0], dtype="float32") for _ in range(2))
    for variable, apply in ((ours, apply_gradients), (theirs, lambda o, g, v: o.apply(g, v))):
        variable.constraint = keras.constraints.NonNeg()
        optimizer = keras.optimizers.Adam(0.7)
        optimizer.build([variable])
        for _ in range(3):
            apply(optimizer, [tf.constant([1.0, -1.0])], [variable])
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert ours.numpy()[0] == 0.0
