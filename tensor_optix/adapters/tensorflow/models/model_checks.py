"""Does it fit? Model, optimizer, spaces: checked before the first environment step, in words that help."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import keras
import numpy as np

from tensor_optix.adapters.spaces.observation_parts import advice_on, choices_of, part_at
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs, inputs_of
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.adapters.tensorflow.models import keras_features
from tensor_optix.adapters.tensorflow.models.memory_models import refuse_memory, refuse_stateful
from tensor_optix.adapters.tensorflow.saving.demands import admit
from tensor_optix.core.checks import check_callable
from tensor_optix.exceptions import (
    BackendError,
    IncompatibleModelError,
    InvalidTypeError,
    NotBoundError,
    UnsafeFileError,
    UnsupportedSpaceError,
)

Spaces = tuple[Any, Any]
"""Of observations and of actions."""


def require_tensorflow_backend() -> None:
    """Raise unless Keras 3 runs on TensorFlow."""
    if int(keras.__version__.split(".")[0]) < 3:
        raise BackendError(
            f"Keras 3 is needed; this is Keras {keras.__version__}. "
            "Unset TF_USE_LEGACY_KERAS, and pip install 'keras>=3.14.1'."
        )
    if keras.backend.backend() != "tensorflow":
        raise BackendError(
            f"Keras must run on TensorFlow; its backend is {keras.backend.backend()!r}. "
            "Set the environment variable KERAS_BACKEND=tensorflow before keras is imported."
        )


def check_model(model: Any) -> None:
    """Raise unless ``model`` is a Keras 3 model."""
    if isinstance(model, keras.Model):
        return
    origin = type(model).__module__
    if origin.startswith("tf_keras"):
        raise BackendError(
            f"`model` is a legacy Keras 2 model ({origin}). Build it with keras.Model of Keras 3, "
            "and unset TF_USE_LEGACY_KERAS."
        )
    raise InvalidTypeError(f"`model` must be a keras.Model. Received: {type(model).__name__} from {origin}.")


def check_optimizer(optimizer: Any) -> None:
    """Raise unless ``optimizer`` is a Keras 3 optimizer with a settable learning rate."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise InvalidTypeError(
            f"`optimizer` must be a keras.optimizers.Optimizer. Received: {type(optimizer).__name__} "
            f"from {type(optimizer).__module__}."
        )
    keras_features.check_optimizer(optimizer)


def example_of(observation_space: Any) -> Any:
    """Return one observation of zeros in the shape of ``observation_space``.

    Parts of a Dict that have no fixed shape (Text, Graph, ...) are left out: no model can take them, but
    one that takes the others is none the worse for them.

    Raises:
        UnsupportedSpaceError: Nothing of it has a fixed shape, or a Tuple has parts that have none.
    """
    if isinstance(observation_space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        return choices_of(observation_space)[0].astype(observation_space.dtype)
    if isinstance(observation_space, gym.spaces.Dict):
        known = {key: space for key, space in observation_space.spaces.items() if _has_arrays(space)}
        if known:
            return {key: example_of(space) for key, space in known.items()}
    if isinstance(observation_space, gym.spaces.Tuple) and observation_space.spaces:
        return tuple(example_of(space) for space in observation_space.spaces)
    if observation_space.shape is None:
        raise UnsupportedSpaceError(
            f"Observations must have a fixed shape. Received: {observation_space}. {advice_on(observation_space)}."
        )
    return np.zeros(observation_space.shape, observation_space.dtype)


def _has_arrays(space: Any) -> bool:
    if isinstance(space, gym.spaces.Dict):
        return any(_has_arrays(part) for part in space.spaces.values())
    if isinstance(space, gym.spaces.Tuple):
        return bool(space.spaces) and all(_has_arrays(part) for part in space.spaces)
    return space.shape is not None


def probe(model: Any, example: Any) -> tuple[ModelInputs, list[tuple[int, ...]]]:
    """Build the model on one observation and return its inputs and the shapes of its outputs, batch first.

    Raises:
        IncompatibleModelError: The model does not take the observation, or remembers.
    """
    refuse_stateful(model)
    refuse_memory(model, example)
    inputs = inputs_of(model, example)
    parts = [np.asarray(x, d) for x, d in zip(inputs.flat(example, batched=False), inputs.dtypes, strict=True)]
    try:
        admit(model, inputs, [part.shape for part in parts])
        outputs = model(inputs.pack([keras.ops.convert_to_tensor(part[None]) for part in parts]), training=False)
    except UnsafeFileError:
        raise
    except Exception as error:
        raise IncompatibleModelError(
            f"Model '{model.name}' cannot run on an observation with shapes {[part.shape for part in parts]}: {error}"
        ) from error
    return inputs, [tuple(x.shape) for x in keras.tree.flatten(outputs)]


def build_and_probe(model: Any, example: Any) -> tuple[ModelInputs, int]:
    """Build the model on one observation and return its inputs and the size of its output.

    Raises:
        IncompatibleModelError: The model does not take the observation, or does not give one
            vector of numbers per observation.
    """
    inputs, shapes = probe(model, example)
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise IncompatibleModelError(
            f"Model '{model.name}' must give one output of shape (batch, size). It gives {len(shapes)} of shapes "
            f"{shapes}. Flatten its last layer, or keep only the policy's output."
        )
    return inputs, shapes[0][1]


def check_output_size(model: Any, size: int, sampler: ActionSampler, action_space: Any) -> None:
    """Raise unless the model gives as many numbers as the action space needs."""
    if size != sampler.num_outputs:
        raise IncompatibleModelError(
            f"Model '{model.name}' gives {size} outputs, but {action_space} needs {sampler.num_outputs}: "
            f"{sampler.outputs_mean}. End the model with keras.layers.Dense({sampler.num_outputs})."
        )


def discrete_sizes(observation_space: Any, inputs: ModelInputs) -> list[int | None]:
    """Return per input how many values a discrete part has, None for numbers."""
    if observation_space is None:
        return [None] * len(inputs.shapes)
    found = [part_at(observation_space, path) for path in inputs.paths]
    return [int(space.n) if isinstance(space, gym.spaces.Discrete) else None for space in found]


def require_ready(ready: bool) -> None:
    """Raise unless the agent has seen spaces or an observation."""
    if not ready:
        raise NotBoundError(
            "The agent has no model to speak of yet: call bind(observation_space, action_space), or act once."
        )


def check_loss_fn(value: Any) -> None:
    """Raise unless ``value`` can be called as a loss is, or is None."""
    check_callable("compute_loss_fn", value)
    check_callable("compute_loss_fn", value, takes="(model, episode_data, returns) -> loss")


def require_served(known: Spaces, new: Spaces, sampler: ActionSampler) -> None:
    """Raise unless what was made for the spaces ``known`` can act and learn in ``new``.

    Bounds and the width of numbers may differ; shapes, numbers of choices and the parts of an
    observation may not.

    Args:
        known: Observation and action space that the networks were made for.
        new: Those of another environment.
        sampler: How outputs become actions of the known space.

    Raises:
        UnsupportedSpaceError: The networks do not fit; it says where.
    """
    checks = (("observations", _observation_misfit), ("actions", sampler.misfit))
    for (what, misfit), space, other in zip(checks, known, new, strict=True):
        reason = misfit(space, other)
        if reason is not None:
            raise UnsupportedSpaceError(
                f"The agent was made for {what} in {space}; this environment's are in {other}: {reason}. The agent is "
                "left as it was. Use it in an environment of the spaces it knows, or make another one for this one."
            )


def bounds_differ(known: Any, new: Any) -> bool:
    """Tell whether two Box spaces of actions have other bounds."""
    is_box = isinstance(known, gym.spaces.Box) and isinstance(new, gym.spaces.Box)
    return is_box and not (np.array_equal(known.low, new.low) and np.array_equal(known.high, new.high))


def _observation_misfit(known: Any, new: Any) -> str | None:
    if known == new:
        return None
    if isinstance(known, gym.spaces.Dict):
        return _parts_misfit(known, new)
    if isinstance(known, gym.spaces.Tuple):
        if not isinstance(new, gym.spaces.Tuple) or len(new.spaces) != len(known.spaces):
            return f"{len(known.spaces)} parts are expected"
        reasons = (_observation_misfit(a, b) for a, b in zip(known.spaces, new.spaces, strict=True))
        return next((reason for reason in reasons if reason is not None), None)
    if isinstance(known, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        return _choices_misfit(known, new)
    if known.shape is None or new.shape is None or isinstance(new, gym.spaces.Discrete):
        return "another kind of space"
    if known.shape != new.shape:
        return f"the shape {new.shape} instead of {known.shape}"
    return _numbers_misfit(known, new)


def _parts_misfit(known: gym.spaces.Dict, new: Any) -> str | None:
    if not isinstance(new, gym.spaces.Dict):
        return f"the parts {list(known.spaces)} are expected"
    for name, part in known.spaces.items():
        if name not in new.spaces:
            return f"the part {name!r} is missing"
        reason = _observation_misfit(part, new.spaces[name])
        if reason is not None:
            return f"in the part {name!r}, {reason}"
    return None


def _choices_misfit(known: Any, new: Any) -> str | None:
    """Indices must be among those that the networks know: beyond them they mean nothing."""
    if type(known) is not type(new) or known.shape != new.shape:
        return "another kind of space"
    (start, counts), (new_start, new_counts) = choices_of(known), choices_of(new)
    if (new_start >= start).all() and (new_start + new_counts <= start + counts).all():
        return None
    return "it has values that the other has not"


def _numbers_misfit(known: Any, new: Any) -> str | None:
    """Floats take any number; integers, as images are kept in, only those that fit."""
    if np.dtype(known.dtype).kind == "f":
        return None
    if np.dtype(new.dtype).kind == "f":
        return f"{np.dtype(new.dtype).name} instead of {np.dtype(known.dtype).name}"
    if not isinstance(new, gym.spaces.Box) or np.dtype(known.dtype).kind == "b":
        return None
    limits = np.iinfo(known.dtype)
    fits = int(new.low.min(initial=0)) >= limits.min and int(new.high.max(initial=0)) <= limits.max
    return None if fits else f"{np.dtype(new.dtype).name} values that {np.dtype(known.dtype).name} cannot hold"
