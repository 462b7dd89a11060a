"""Which environment a command is about: what the user typed, what the run's folder says, and what of it is used.

A folder may come from a stranger. An id that Gymnasium knows already, plain arguments, and Gymnasium's own wrappers
harm nobody; a module, another wrapper, or another argument that only a file names is used only where the user says so.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym

from tensor_optix.cli.key_values import parse_settings, typed
from tensor_optix.exceptions import CheckpointError, UnsafeFileError
from tensor_optix.pipeline.environment_names import EnvironmentName
from tensor_optix.pipeline.named_modules import keep_off_the_path

OWN_WRAPPERS = "gymnasium.wrappers"
MAX_TOLD = 400

_NAMED_BY_THE_USER: set[str] = set()
"""Modules that were typed in this process."""

MAX_PLAIN_NUMBER, MAX_PLAIN_STEPS = 100_000, 10**9
"""Larger arguments that only a folder names are passed on where the user asks for it."""

_WORD = re.compile(r"[\w +-]{0,200}")


@dataclass(frozen=True)
class TypedEnvironment:
    """What a command line says of an environment.

    Attributes:
        env_id: ENV; None: the run's own.
        kwargs: ``--env-kwargs``.
        wrappers: ``--wrapper``.
        is_trusted: ``--trust-env``: what the run's folder names may be used.
    """

    env_id: str | None
    kwargs: Mapping[str, Any]
    wrappers: tuple[str, ...]
    is_trusted: bool = False

    def __post_init__(self) -> None:
        named_by_the_user(self.env_id, *self.wrappers)

    def for_run(self, run_dir: Path, command: str, recorded: Mapping[str, Any]) -> EnvironmentName:
        """Return the environment that a command about a run means, all of it imported.

        What is typed comes before what the run's folder says; the folder's arguments and wrappers belong to its own
        environment only.

        Args:
            run_dir: The run's folder.
            command: The command, ``"evaluate"`` or ``"resume"``, for advice.
            recorded: What the folder says, as :meth:`EnvironmentName.to_json` gives it: anything at all.

        Raises:
            CheckpointError: Nothing says which environment it is.
            UnsafeFileError: The folder asks for something that the user did not ask for.
            UnknownEnvironmentError: There is none of this name.
        """
        keep_off_the_path(run_dir)
        own = None if recorded.get("env_id") is None else EnvironmentName.from_json(recorded, run_dir.as_posix())
        if self.env_id is not None and (own is None or _bare(self.env_id) != _bare(own.id)):
            name = EnvironmentName(self.env_id, self.kwargs, self.wrappers)
        elif own is None:
            raise CheckpointError(
                f"{run_dir.as_posix()} does not say which environment it was trained in. "
                f"Name it: tensor-optix {command} RUN_DIR ENV."
            )
        else:
            self._refuse_unnamed(run_dir, command, own, recorded.get("unnamed"))
            name = EnvironmentName(self.env_id or own.id, self.kwargs or own.kwargs, self.wrappers or own.wrappers)
            wishes = [] if self.is_trusted else self._not_asked_for(own)
            if wishes:
                raise UnsafeFileError(_refusal(run_dir, command, name, wishes))
        name.check(current_folder_first=True)
        return name

    def _refuse_unnamed(self, run_dir: Path, command: str, own: EnvironmentName, unnamed: Any) -> None:
        if self.env_id is None and isinstance(unnamed, list) and unnamed:
            raise CheckpointError(
                f"{run_dir.as_posix()} was trained in {own} with {', '.join(map(str, unnamed))[:MAX_TOLD]}, which only "
                f"its script can make. Name the environment: tensor-optix {command} RUN_DIR {own.id}, "
                "with --env-kwargs key=value for its "
                "arguments and --wrapper module:function for a function of yours that wraps it."
            )

    def _not_asked_for(self, own: EnvironmentName) -> list[str]:
        """Return what using a folder's environment would do that the user did not ask for, in phrases."""
        return [
            *(module_wishes(own.id) if self.env_id is None else []),
            *(kwargs_wishes(own.kwargs) if not self.kwargs else []),
            *(wrapper_wishes(own.wrappers) if not self.wrappers else []),
        ]


def typed_environment(
    env: str | None, env_kwargs: list[str] | None, wrappers: list[str] | None, trust_env: bool = False
) -> TypedEnvironment:
    """Return what these options say.

    Raises:
        InvalidArgumentError: A pair has no ``=`` or no key, or a key comes twice.
    """
    kwargs = parse_settings(env_kwargs or [], "--env-kwargs", "size=7")
    return TypedEnvironment(env, kwargs, tuple(wrappers or ()), trust_env)


def is_plain(key: str, value: Any) -> bool:
    """Tell whether an argument is harmless whoever gives it: a number, true, false, null, a word, or lists of these.

    Paths, addresses and names of code are not, nor is what opens a window, nor what may be a size beyond the usual.
    """
    if isinstance(value, list | tuple):
        return all(is_plain(key, item) for item in value)
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None and (key, value) != ("render_mode", "human")
    most = MAX_PLAIN_STEPS if key == "max_episode_steps" else MAX_PLAIN_NUMBER
    return value is None or (isinstance(value, bool | int | float) and abs(value) <= most)


def module_wishes(name: str) -> list[str]:
    """Return, in phrases, what using ``module:name`` of a file would do that is not harmless whoever wrote it."""
    module = name.rpartition(":")[0]
    return [f"import the module {module!r}"] if module and module not in sys.modules else []


def kwargs_wishes(kwargs: Mapping[str, Any]) -> list[str]:
    """Return the same of an environment's arguments."""
    return [f"pass {key}={json.dumps(value):.200}" for key, value in kwargs.items() if not is_plain(key, value)]


def wrapper_wishes(wrappers: Iterable[str]) -> list[str]:
    """Return the same of wrappers."""
    return [f"call {wrapper!r}" for wrapper in wrappers if not _may_be_called(wrapper)]


def named_by_the_user(*names: str | None) -> None:
    """Take note of ``module:name`` that were typed, or are in a file that the user wrote."""
    modules = (name.rpartition(":")[0] for name in names if name is not None)
    _NAMED_BY_THE_USER.update(module for module in modules if module)


def _may_be_called(wrapper: str) -> bool:
    """Tell whether the user named a wrapper's module in this process, or it is one of Gymnasium's own wrappers."""
    module, _, name = wrapper.partition(":")
    if module in _NAMED_BY_THE_USER:
        return True
    found = getattr(sys.modules.get(module), name, None)
    is_own = module == OWN_WRAPPERS or module.startswith(OWN_WRAPPERS + ".")
    return is_own and isinstance(found, type) and issubclass(found, gym.Wrapper)


def _bare(env_id: str) -> str:
    return env_id.rpartition(":")[2]


def _refusal(run_dir: Path, command: str, name: EnvironmentName, wishes: list[str]) -> str:
    return (
        f"{run_dir.as_posix()} names the environment {name}, which would {' and '.join(wishes)}: that is done only if "
        "you ask for it, too. If you know where the folder comes from, add --trust-env, or name it yourself: "
        f"tensor-optix {command} {shlex.quote(run_dir.as_posix())} {typed_form(name)}"
    )


def typed_form(name: EnvironmentName) -> str:
    """Return how an environment is named on the command line."""
    words = [name.id]
    words += [word for key, value in name.kwargs.items() for word in ("--env-kwargs", f"{key}={typed(value)}")]
    words += [word for wrapper in name.wrappers for word in ("--wrapper", wrapper)]
    return shlex.join(words)
