"""The one way to name an environment: an id, its arguments, its wrappers."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import numpy as np

from tensor_optix.core.checks import check_int
from tensor_optix.core.storage.json_files import require_jsonable
from tensor_optix.exceptions import (
    CheckpointError,
    EnvironmentFailureError,
    InvalidArgumentError,
    InvalidTypeError,
    TensorOptixError,
    UnknownEnvironmentError,
)
from tensor_optix.pipeline.named_modules import import_named

MAX_ID_LENGTH = 200
MAX_WRAPPERS = 32
MAX_KWARGS_BYTES = 64 * 1024

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FUNCTION = re.compile(r"[^\W\d]\w*")
_TAKEN = {
    "id": "it is the name itself",
    "num_envs": "say how many with num_envs (--num-envs)",
    "vectorization_mode": "environments of one name step in one process",
    "vector_kwargs": "environments of one name step in one process",
    "wrappers": "name them apart, as wrappers (--wrapper module:function)",
}


@dataclass(frozen=True)
class EnvironmentName:
    """An environment by name; called, it makes one.

    It goes wherever an environment, or a callable that makes one, may go.

    Attributes:
        id: A name that Gymnasium knows, or ``module:name`` of a module that registers it when it is imported. The
            module may lie in the current folder.
        kwargs: Arguments of ``gymnasium.make``: JSON-able values.
        wrappers: ``module:function`` each, applied in this order to each single environment; a function (or class)
            takes an environment and returns one.
        num_envs: How many copies step together in a ``SyncVectorEnv``; None: one environment alone.

    Raises:
        InvalidTypeError: Something is of the wrong type.
        InvalidArgumentError: Something is no name, or too long.

    Example:
        >>> name = EnvironmentName("CartPole-v1", {"sutton_barto_reward": True})
        >>> name().spec.kwargs
        {'sutton_barto_reward': True}
    """

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] | list[str] = ()
    num_envs: int | None = None

    def __post_init__(self) -> None:
        _check_id(self.id)
        _check_kwargs(self.kwargs)
        _check_wrappers(self.wrappers)
        check_int("num_envs", self.num_envs, at_least=1, optional=True)
        object.__setattr__(self, "kwargs", {key: _of_python(value) for key, value in self.kwargs.items()})
        object.__setattr__(self, "wrappers", tuple(self.wrappers))

    @property
    def module(self) -> str | None:
        """The module that registers it; None: Gymnasium knows it without."""
        return self.id.rpartition(":")[0] or None

    def check(self, *, current_folder_first: bool = False) -> None:
        """Import what is named by module, and raise unless all of it is there.

        Raises:
            UnknownEnvironmentError: A module or a wrapper is not, or no environment is registered under the id.
        """
        if self.module is not None:
            import_named(self.module, self.id, current_folder_first=current_folder_first)
        _check_registered(self.id)
        for wrapper in self.wrappers:
            _wrapper_named(wrapper, current_folder_first=current_folder_first)

    def __call__(self) -> Any:
        """Return a new environment.

        Raises:
            UnknownEnvironmentError: There is none of this name.
            EnvironmentFailureError: It, or a wrapper, raised.
        """
        self.check()
        return self._single() if self.num_envs is None else self._vector(self.num_envs)

    def copies(self, num_envs: int | None) -> EnvironmentName:
        """Return the name of so many copies."""
        return replace(self, num_envs=num_envs)

    def _single(self) -> gym.Env[Any, Any]:
        env = self._calling(f"Environment {self.id}", gym.make, self.id, **self.kwargs)
        for wrapper in self._checked_wrappers():
            env = wrapper(env)
        return env  # type: ignore[no-any-return]

    def _vector(self, num_envs: int) -> gym.vector.VectorEnv[Any, Any, Any]:
        return self._calling(  # type: ignore[no-any-return]
            f"Environment {self.id}",
            gym.make_vec,
            self.id,
            num_envs=num_envs,
            vectorization_mode="sync",
            wrappers=self._checked_wrappers(),
            **self.kwargs,
        )

    def _checked_wrappers(self) -> list[Callable[[Any], Any]]:
        return [self._checked(name, _wrapper_named(name)) for name in self.wrappers]

    def _checked(self, name: str, wrapper: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def wrapped(env: Any) -> Any:
            made = self._calling(f"The wrapper {name}", wrapper, env)
            if not isinstance(made, gym.Env):
                raise EnvironmentFailureError(
                    f"The wrapper {name} must return a gymnasium.Env. It returned: {made!r:.200} of type "
                    f"{type(made).__name__}."
                )
            return made

        return wrapped

    def _calling(self, what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TensorOptixError:
            raise
        except Exception as error:
            raise EnvironmentFailureError(f"{what} could not be made: {type(error).__name__}: {error}") from error

    def __str__(self) -> str:
        arguments = [f"{key}={json.dumps(value)}" for key, value in self.kwargs.items()]
        wrappers = [f"in {name}" for name in self.wrappers]
        more = ", ".join([*arguments, *wrappers])
        return f"{self.id} ({more})" if more else self.id

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` takes; how many copies there are is no part of it."""
        return {"env_id": self.id, "env_kwargs": dict(self.kwargs), "wrappers": list(self.wrappers)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], source: str) -> EnvironmentName:
        """Return the name that a file holds; nothing is imported.

        Args:
            document: ``to_json``'s, from a file: anything at all.
            source: How to call the file in an error.

        Raises:
            CheckpointError: It is no such name.
        """
        kwargs, wrappers = document.get("env_kwargs", {}), document.get("wrappers", [])
        try:
            _check_kwargs(kwargs)
            _check_wrappers(wrappers)
            return cls(document.get("env_id"), {key: as_given(value) for key, value in kwargs.items()}, tuple(wrappers))  # type: ignore[arg-type]
        except (InvalidArgumentError, InvalidTypeError) as error:
            raise CheckpointError(f"{source} names no environment that can be made: {error}") from error


def as_given(value: Any) -> Any:
    """Return a value from a file as the command line gives it: lists as tuples."""
    return tuple(value) if isinstance(value, list) else value


def environment_named(env: Any) -> Any:
    """Return an ``EnvironmentName`` for an id, and anything else as it is."""
    return EnvironmentName(env) if isinstance(env, str) else env


def nearest_environment_ids(env_id: str, num_ids: int = 3) -> list[str]:
    """Return the registered ids that look most like one that is not registered; of a named module, its own first."""
    module, colon, name = env_id.rpartition(":")
    own = [known for known, spec in gym.registry.items() if colon and _is_made_in(module, spec.entry_point)]
    if own:
        near = difflib.get_close_matches(name, own, n=num_ids, cutoff=0.0)
        return [f"{module}:{known}" for known in near]
    env_id = name
    by_lower_case = {known.lower(): known for known in gym.registry}
    near = difflib.get_close_matches(env_id.lower(), by_lower_case, n=num_ids, cutoff=0.5)
    return [by_lower_case[name] for name in near]


def _is_made_in(module: str, entry_point: Any) -> bool:
    where = entry_point if isinstance(entry_point, str) else getattr(entry_point, "__module__", "")
    return f"{where}.".replace(":", ".").startswith(f"{module}.")


def _check_registered(env_id: str) -> None:
    name = env_id.rpartition(":")[2]
    try:
        gym.spec(name)
    except gym.error.Error:
        near = nearest_environment_ids(env_id)
        hint = (
            f"Did you mean {', '.join(near)}?"
            if near
            else "One that a module of yours registers is called module:id. "
            'All that Gymnasium knows: python -c "import gymnasium; gymnasium.pprint_registry()".'
        )
        raise UnknownEnvironmentError(f"No environment is registered as {env_id!r}. {hint}") from None


def _wrapper_named(name: str, *, current_folder_first: bool = False) -> Callable[[Any], Any]:
    module, _, function = name.partition(":")
    found = getattr(import_named(module, name, current_folder_first=current_folder_first), function, None)
    if not callable(found):
        raise UnknownEnvironmentError(
            f"The module {module!r} has no function or class {function!r}, which the wrapper {name!r} asks for."
        )
    return found  # type: ignore[no-any-return]


# ---------------------------------------------------------------- what is a name at all


def _check_id(env_id: Any) -> None:
    if not isinstance(env_id, str):
        raise InvalidTypeError(
            f"An environment's id must be text like 'CartPole-v1' or 'module:Env-v0'. Received: {env_id!r:.200} of "
            f"type {type(env_id).__name__}."
        )
    module, colon, name = env_id.rpartition(":")
    is_named = name and len(env_id) <= MAX_ID_LENGTH and name.isprintable() and not name.startswith(("/", "."))
    if not is_named or (colon and not _MODULE.fullmatch(module)):
        raise UnknownEnvironmentError(
            f"An environment is named by an id like 'CartPole-v1' or 'module:Env-v0'. Received: {env_id!r:.200}."
        )


def _check_kwargs(kwargs: Any) -> None:
    if not isinstance(kwargs, Mapping):
        raise InvalidTypeError(
            f"An environment's arguments must be a dict. Received: {kwargs!r:.200} of type {type(kwargs).__name__}."
        )
    for key in kwargs:
        if not isinstance(key, str) or not key.isidentifier():
            raise InvalidArgumentError(f"An environment's argument must have a Python name. Received: {key!r:.200}.")
        if key in _TAKEN:
            raise InvalidArgumentError(f"An environment's argument cannot be called {key!r}: {_TAKEN[key]}.")
    _check_numbers(kwargs)
    try:
        size = len(json.dumps(require_jsonable(dict(kwargs), "env_kwargs")))
    except (CheckpointError, ValueError) as error:
        raise InvalidArgumentError(f"An environment's arguments must be such that JSON holds them: {error}") from error
    if size > MAX_KWARGS_BYTES:
        raise InvalidArgumentError(
            f"An environment's arguments must take at most {MAX_KWARGS_BYTES} bytes of JSON. Received: {size} bytes."
        )


def _check_numbers(value: Any) -> None:
    """Raise for a whole number that no environment counts to: some take ages over it, others wrap around."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _check_numbers(item)
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise InvalidArgumentError(
            "An environment's arguments must be numbers of at most 64 bits. "
            f"Received: one of {value.bit_length()} bits."
        )


def _of_python(value: Any) -> Any:
    """Return NumPy's numbers as Python's, also in lists and dicts."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _of_python(item) for key, item in value.items()}
    return type(value)(map(_of_python, value)) if type(value) in (list, tuple) else value


def _check_wrappers(wrappers: Any) -> None:
    if isinstance(wrappers, str) or not isinstance(wrappers, list | tuple):
        raise InvalidTypeError(
            "An environment's wrappers must be a list of names like 'module:function'. "
            f"Received: {wrappers!r:.200} of type {type(wrappers).__name__}."
        )
    if len(wrappers) > MAX_WRAPPERS:
        raise InvalidArgumentError(f"At most {MAX_WRAPPERS} wrappers may be named. Received: {len(wrappers)}.")
    for name in wrappers:
        module, colon, function = name.partition(":") if isinstance(name, str) else ("", "", "")
        is_name = colon and len(name) <= MAX_ID_LENGTH and _MODULE.fullmatch(module) and _FUNCTION.fullmatch(function)
        if not is_name:
            raise InvalidArgumentError(f"A wrapper is named like 'module:function'. Received: {name!r:.200}.")
