"""Whatever of Keras's is public is either listed, or refused for a reason that is."""

import inspect

import keras
import pytest

from tensor_optix.adapters.tensorflow.saving.architectures import allowed


def public(module):
    return {
        name
        for name, found in vars(module).items()
        if inspect.isclass(found) or (module is keras.activations and inspect.isfunction(found))
    } - {"serialize", "deserialize", "get"}


@pytest.mark.parametrize("module", [*allowed.MODULES, "keras.activations"])
def test_everything_public_is_listed_or_refused(module):
    found = keras.activations if module == "keras.activations" else allowed.MODULES[module][0]
    listed = allowed.ACTIVATIONS if module == "keras.activations" else allowed.MODULES[module][1][1]
    refused = allowed.REFUSED[module]
    assert not set(listed) & set(refused)
    assert public(found) - set(listed) == set(refused), "a class that Keras has is neither listed nor refused"
