"""What of Keras cannot be had is refused before the first step, with what to do instead."""

import keras
import pytest

from tensor_optix.adapters.tensorflow.models.keras_features import (
    built_for_others,
    check_networks,
    check_optimizer,
    check_policy,
    warn_of_underflow,
)
from tensor_optix.exceptions import IncompatibleModelError, InvalidArgumentError

opt = keras.optimizers


def decaying_rate():
    return opt.schedules.ExponentialDecay(0.1, 10, 0.9)


def with_half_rate():
    optimizer = opt.SGD(0.1)
    optimizer._learning_rate = keras.Variable(0.1, dtype="float16")
    return optimizer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: opt.Adam(use_ema=True), r"ema_overwrite_frequency=100, for example"),
        (lambda: opt.LossScaleOptimizer(opt.Adam(use_ema=True)), r"use_ema=True without ema_overwrite_frequency"),
        (lambda: opt.Adam(decaying_rate()), r"is a LearningRateSchedule \(ExponentialDecay\)"),
        (lambda: opt.LossScaleOptimizer(opt.Adam(decaying_rate())), r"LearningRateSchedule.*Pass a float"),
        (lambda: opt.SGD(lambda: 0.1), "is a callable"),
        (lambda: opt.MultiOptimizer(opt.OptimizerMap(opt.SGD(0.1))), "MultiOptimizer.*Pass one optimizer"),
        (with_half_rate, "kept in float16: .*mixed_float16"),
    ],
)
def test_optimizers_that_are_refused(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        check_optimizer(make())


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: opt.Adam(use_ema=True, ema_overwrite_frequency=5, gradient_accumulation_steps=2, clipnorm=1.0),
        lambda: opt.LossScaleOptimizer(opt.AdamW(0.1)),
        lambda: opt.SGD(0.1, loss_scale_factor=8.0),
    ],
)
def test_optimizers_that_are_taken(optimizer):
    check_optimizer(optimizer())


def model(*layers):
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)], name="net")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_in_half_precision_are_refused_unless_they_are_frozen(dtype):
    with pytest.raises(IncompatibleModelError, match=f"The critic 'net' keeps its weights in {dtype}.*mixed_{dtype}"):
        check_networks({"model": model(), "critic": model(keras.layers.Dense(4, dtype=dtype))})
    check_networks({"model": model(keras.layers.Dense(4, dtype=dtype, trainable=False))})
    check_networks(
        {"model": model(keras.layers.Dense(4, dtype=f"mixed_{dtype}"), keras.layers.Dense(4, dtype="float64"))}
    )


def test_quantized_weights_are_refused():
    quantized = model(keras.layers.Dense(16))
    quantized.quantize("float8")
    with pytest.raises(IncompatibleModelError, match=r"is quantized to float8.*quantize a copy afterwards"):
        check_networks({"model": quantized})


def test_what_works_in_fit_alone_is_named_once(caplog):
    idle = [keras.layers.Dropout(0.1), keras.layers.Dropout(0.2), keras.layers.BatchNormalization()]
    check_networks({"model": model(*idle), "critic": model(*idle[:1])})
    assert [r.getMessage().split(":")[0] for r in caplog.records] == ["BatchNormalization, Dropout"]
    caplog.clear()
    check_networks({"model": model(keras.layers.Dropout(0.0), keras.layers.LayerNormalization())})
    assert not caplog.records


def test_a_network_that_learns_nothing_is_named(caplog):
    still = model()
    still.trainable = False
    check_networks({"model": model(), "critic": still})
    assert [r.getMessage() for r in caplog.records] == [
        "The critic 'net' has no weights that are trained: it stays as it is."
    ]


def test_an_optimizer_of_other_variables_is_told():
    optimizer = opt.Adam()
    optimizer.build(model().trainable_variables)
    message = str(built_for_others(optimizer, model(keras.layers.Dense(4)).trainable_variables))
    assert "built for 2 other variables than the 4 that the model trains" in message


@pytest.fixture
def policy():
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_nothing_is_made_with_weights_in_half_precision(policy, name):
    policy(name)
    with pytest.raises(IncompatibleModelError, match=f"policy '{name}' keeps its weights in {name}.*mixed_{name}"):
        check_policy()
    policy(f"mixed_{name}")
    check_policy()


def test_float16_without_a_scaled_loss_is_named(policy, caplog):
    policy("mixed_float16")
    half = {"model": model()}
    for optimizer in (opt.LossScaleOptimizer(opt.Adam()), opt.Adam(loss_scale_factor=8.0)):
        warn_of_underflow(optimizer, half)
    policy("mixed_bfloat16")
    warn_of_underflow(opt.Adam(), {"model": model()})
    assert not caplog.records
    warn_of_underflow(opt.Adam(), half)
    assert "The model 'net' computes in float16" in caplog.text
