"""Whatever of Keras's is public is either read back from a file exactly, or refused for a reason that is listed."""

import inspect

import keras
import numpy as np
import pytest
from saving_samples import NOT_IN_A_GRAPH, RANDOM_EVERY_TIME, build_from_config, config_of, make_layer, model_with

from tensor_optix.adapters.tensorflow.saving.architectures import allowed
from tensor_optix.adapters.tensorflow.saving.architectures.reader import ConfigReader
from tensor_optix.adapters.tensorflow.saving.architectures.rebuild import check_rebuildable
from tensor_optix.adapters.tensorflow.saving.demands import Demands
from tensor_optix.exceptions import UnsafeFileError

FIRST_NAMES = sorted({getattr(keras.layers, name): name for name in reversed(allowed.LAYERS)}.values())
"""Each class once."""


def num_weights(model):
    return sum(int(np.prod(variable.shape)) for variable in model.variables)


def read(kind, described):
    return ConfigReader({}, Demands(1000)).read(kind, described)


@pytest.mark.parametrize("name", [name for name in FIRST_NAMES if name not in NOT_IN_A_GRAPH])
def test_a_layer_comes_back_as_it_was(name):
    model, examples = model_with(name)
    text = config_of(model)
    built = build_from_config(text, None, num_weights(model))
    assert config_of(built) == text
    assert [v.shape for v in built.variables] == [v.shape for v in model.variables]
    for ours, saved in zip(built.variables, model.variables, strict=True):
        ours.assign(saved)
    if name not in RANDOM_EVERY_TIME:
        outputs, expected = (keras.tree.flatten(m(examples, training=False)) for m in (built, model))
        for output, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_array_equal(output, wanted)


@pytest.mark.parametrize("name", NOT_IN_A_GRAPH)
def test_a_layer_that_stands_in_no_graph_has_the_same_configuration(name):
    described = keras.saving.serialize_keras_object(make_layer(name))
    assert keras.saving.serialize_keras_object(read("layer", described)) == described


@pytest.mark.parametrize("alias", sorted(set(allowed.LAYERS) - set(FIRST_NAMES)))
def test_an_alias_is_the_same_class(alias):
    described = {**keras.saving.serialize_keras_object(make_layer(alias)), "class_name": alias}
    assert type(read("layer", described)) is getattr(keras.layers, alias)


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in allowed.REFUSED.items() for name in names]
)
def test_what_is_refused_says_why(module, name):
    reason = allowed.REFUSED[module][name]
    described = {"module": module, "class_name": name, "config": {}, "registered_name": None}
    if module == "keras.activations":
        described = {"module": module, "class_name": "function", "config": name, "registered_name": name}
        with pytest.raises(UnsafeFileError, match=reason):
            read("activation", described)
        return
    with pytest.raises(UnsafeFileError, match=reason):
        read(allowed.MODULES[module][1][0], described)


def classes(names, module):
    return sorted({getattr(module, name): name for name in reversed(names)}.values())


@pytest.mark.parametrize("seed", [2**31 - 1, keras.random.SeedGenerator(7)])
@pytest.mark.parametrize("name", classes(allowed.INITIALIZERS, keras.initializers))
def test_an_initializer_comes_back(name, seed):
    found = getattr(keras.initializers, name)
    given = {"seed": seed} if "seed" in inspect.signature(found.__init__).parameters else {}
    described = keras.saving.serialize_keras_object(found(**given))
    assert keras.saving.serialize_keras_object(read("initializer", described)) == described


def test_a_constant_may_be_an_array():
    described = keras.saving.serialize_keras_object(keras.initializers.Constant(np.arange(6.0).reshape(2, 3)))
    np.testing.assert_array_equal(read("initializer", described).value, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("kind", ["regularizer", "constraint"])
def test_regularizers_and_constraints_come_back(kind):
    module, names = keras.constraints, allowed.CONSTRAINTS
    if kind == "regularizer":
        module, names = keras.regularizers, allowed.REGULARIZERS
    for name in classes(names, module):
        described = keras.saving.serialize_keras_object(getattr(module, name)())
        assert keras.saving.serialize_keras_object(read(kind, described)) == described


@pytest.mark.parametrize("name", allowed.OPTIMIZERS)
def test_an_optimizer_comes_back(name):
    given = {"inner_optimizer": keras.optimizers.SGD()} if name == "LossScaleOptimizer" else {"clipvalue": np.inf}
    made = getattr(keras.optimizers, name)(**given)
    check_rebuildable(made)
    assert config_of(build_from_config(config_of(made), None, 1)) == config_of(made)


@pytest.mark.parametrize(
    "schedule",
    [
        keras.optimizers.schedules.CosineDecay(0.1, 10, warmup_target=0.2, warmup_steps=3),
        keras.optimizers.schedules.CosineDecayRestarts(0.1, 10),
        keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9, staircase=True),
        keras.optimizers.schedules.InverseTimeDecay(0.1, 10, 0.9),
        keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [1.0, 0.5, 0.1]),
        keras.optimizers.schedules.PolynomialDecay(0.1, 10, cycle=True),
    ],
)
def test_a_schedule_comes_back_with_its_optimizer(schedule):
    made = keras.optimizers.Adam(schedule)
    assert config_of(build_from_config(config_of(made), None, 1)) == config_of(made)


@pytest.mark.parametrize("name", allowed.ACTIVATIONS)
def test_an_activation_comes_back(name):
    layer = keras.layers.Dense(4, activation=getattr(keras.activations, name))
    read_back = read("layer", keras.saving.serialize_keras_object(layer))
    assert read_back.activation is layer.activation


def test_an_activation_may_be_a_layer():
    layer = keras.layers.Dense(4, activation=keras.layers.LeakyReLU(0.1))
    assert read("layer", keras.saving.serialize_keras_object(layer)).activation.negative_slope == 0.1
