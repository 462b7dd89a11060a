import keras
import numpy as np
import pytest
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting.model_inputs import example_for, first_of, inputs_of, named_inputs
from tensor_optix.exceptions import IncompatibleModelError, NotBoundError


def two_parts():
    place, speed = keras.Input((3,), name="place"), keras.Input((1,), dtype="int32", name="speed")
    joined = kl.Concatenate()([place, kl.Embedding(4, 2)(speed)[:, 0]])
    return keras.Model({"speed": speed, "place": place}, kl.Dense(2)(joined))


def test_the_graph_tells_names_shapes_and_dtypes():
    inputs = inputs_of(two_parts())
    told = dict(zip(inputs.names, zip(inputs.shapes, inputs.dtypes, strict=True), strict=True))
    assert told == {"place": ((3,), np.dtype("float32")), "speed": ((1,), np.dtype("int32"))}


def test_parts_are_found_by_name_and_brought_to_the_shape_that_is_taken():
    inputs = inputs_of(two_parts())
    place, speed = np.arange(6.0).reshape(2, 3), np.array([1, 2])
    parts = dict(
        zip(inputs.names, inputs.flat({"speed": speed, "place": place, "other": 0}, batched=True), strict=True)
    )
    np.testing.assert_array_equal(parts["place"], place)
    np.testing.assert_array_equal(parts["speed"], [[1], [2]])
    np.testing.assert_array_equal(inputs.structured([1, 2])[inputs.names[0]], 1)


def test_a_sample_tells_what_a_model_without_a_graph_takes():
    model = keras.Sequential([kl.Dense(2)])
    inputs = inputs_of(model, np.zeros(3, np.float64))
    assert (inputs.shapes, inputs.dtypes) == (((3,),), (np.dtype("float32"),))
    nested = inputs_of(model, {"a": (np.zeros(2), np.int64(1))})
    assert nested.names == ("a.0", "a.1")
    assert nested.pack([1, 2]) == {"a": (1, 2)}
    with pytest.raises(NotBoundError, match=r"Cannot tell what .* takes"):
        inputs_of(model)


def test_what_does_not_fit_is_named():
    inputs = inputs_of(two_parts())
    with pytest.raises(IncompatibleModelError, match=r"with the parts .*, but received the keys \['place'\]"):
        inputs.flat({"place": np.zeros(3)}, batched=False)
    with pytest.raises(IncompatibleModelError, match=r"observation 'place' in the shape \(3,\), but received \(4,\)"):
        inputs.flat({"place": np.zeros(4), "speed": 1}, batched=False)
    with pytest.raises(IncompatibleModelError, match="should hold the same number"):
        inputs.flat({"place": np.zeros((2, 3)), "speed": np.zeros(3)}, batched=True)


def test_images_are_kept_as_bytes_and_all_else_as_it_is_taken():
    inputs = inputs_of(keras.Sequential([keras.Input((4, 4)), kl.Flatten(), kl.Dense(1)]))
    assert inputs.kept_dtypes(np.zeros((4, 4), np.uint8)) == [np.dtype("uint8")]
    assert inputs.kept_dtypes(np.zeros((4, 4), np.float64)) == [np.dtype("float32")]


def test_an_example_is_what_the_model_takes():
    example = example_for(two_parts())
    assert {name: part.shape for name, part in example.items()} == {"place": (3,), "speed": (1,)}
    free = keras.Model(x := keras.Input((None, 2)), kl.GlobalAveragePooling1D()(x))
    assert example_for(free).shape == (1, 2)
    with pytest.raises(NotBoundError, match="There is no model yet"):
        example_for(None)


def test_tensors_may_have_any_names():
    first, second, unnamed = named_inputs(["a/b", "a.b", None], [(2,), (2,), (2,)], ["float32"] * 3)
    assert (first.name, second.name) == ("a/b", "a.b")
    model = keras.Model({"a/b": first, "a.b": second}, kl.Dense(1)(kl.Concatenate()([first, second])))
    assert model({"a/b": np.ones((1, 2)), "a.b": np.ones((1, 2))}).shape == (1, 1)
    assert keras.Model(unnamed, kl.Dense(1)(unnamed))(np.ones((1, 2))).shape == (1, 1)


def test_the_first_of_a_nested_batch():
    batch = {"a": (np.arange(6).reshape(3, 2), np.arange(3))}
    first = first_of(batch)
    np.testing.assert_array_equal(first["a"][0], [0, 1])
    assert first["a"][1] == 0
