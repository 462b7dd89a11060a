import keras
import pytest

from tensor_optix.adapters.tensorflow.saving.architectures.call_arguments import (
    CallArguments,
    CustomObjects,
    no_tensor,
    reference,
)
from tensor_optix.adapters.tensorflow.saving.architectures.reader import ConfigReader
from tensor_optix.adapters.tensorflow.saving.demands import Demands
from tensor_optix.exceptions import UnsafeFileError

TENSOR = {"class_name": "__keras_tensor__", "config": {"keras_history": ["dense", 0, 1]}}


def test_tensors_and_plain_data_are_read():
    given = CallArguments(lambda place: f"tensor {place}", 100)
    slice_ = {"class_name": "__slice__", "config": {"start": None, "stop": 2, "step": None}}
    read = given.read(
        [TENSOR, {"mask": TENSOR, "axis": -1}, [slice_, {"class_name": "__ellipsis__"}], None, "same", 0.5]
    )
    tensor = "tensor ('dense', 0, 1)"
    assert read == [tensor, {"mask": tensor, "axis": -1}, [slice(None, 2, None), Ellipsis], None, "same", 0.5]
    assert given.num_tensors == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"class_name": "Lambda", "module": "keras.layers", "config": {}}, "'Lambda' of module 'keras.layers'"),
        (101, "asks for a size of 101; 100 are allowed .* in a call"),
        ("x" * 201, "a text of 201 characters"),
        ([[[[[[[[[[]]]]]]]]]], "more than 8 levels deep"),
        ({"class_name": "__slice__", "config": {"start": 1}}, "calls a layer with '__slice__'"),
    ],
)
def test_all_else_is_refused(value, message):
    with pytest.raises(UnsafeFileError, match=message):
        CallArguments(no_tensor, 100).read(value)


def test_where_no_tensor_can_be_one_is_refused():
    with pytest.raises(TypeError, match="is a tensor, where none can be"):
        CallArguments(no_tensor, 100).read([TENSOR])


@pytest.mark.parametrize("value", [None, ["dense", 0], ["dense", True, 0], ["dense", -1, 0], [0, 0, 0], "dense"])
def test_what_names_no_tensor(value):
    with pytest.raises(TypeError, match="names no tensor of the graph"):
        reference(value)


def test_the_users_own_are_found_by_any_of_their_names():
    mine = object()
    custom = CustomObjects({"Mine": mine})
    assert custom.named("package>Mine", "Mine") is mine
    assert custom.named(None, 3, "Other") is None


def test_what_the_users_own_class_is_given_was_built_here_first():
    reader = ConfigReader({}, Demands(1000))
    dense = keras.saving.serialize_keras_object(keras.layers.Dense(3, name="inner"))
    config = {"inner": dense, "units": [1, "a", None], "how": {"deep": dense}}
    clean = reader.custom.clean(reader, config)
    assert clean["units"] == [1, "a", None]
    assert clean["inner"]["config"]["units"] == clean["how"]["deep"]["config"]["units"] == 3
    forbidden = {"class_name": "Lambda", "module": "keras.layers", "config": {}, "registered_name": None}
    with pytest.raises(UnsafeFileError, match="'Lambda'"):
        reader.custom.clean(reader, {"inner": forbidden})
