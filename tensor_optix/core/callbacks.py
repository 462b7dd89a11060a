"""What a user may hook into the loop."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tensor_optix.core.checks import can_be_called, nearest, received
from tensor_optix.core.protocols import completed
from tensor_optix.core.types import EpisodeData, EvalMetrics, LoopState, PolicySnapshot
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, StopRun

if TYPE_CHECKING:
    from tensor_optix.core.run_result import RunResult
    from tensor_optix.core.run_view import RunView

logger = logging.getLogger(__name__)


class LoopCallback:
    """Base of all callbacks; every hook is optional.

    Hooks run in the loop's thread and get their arguments by position. One that raises is logged
    with its traceback and never stops the loop, unless it asks for that: with
    :class:`~tensor_optix.exceptions.StopRun`, or one of the classes in ``RLOptimizer(stop_on=...)``,
    the run ends after the current window, as it does after ``stop()``.

    Attributes:
        stop_on: Classes of exceptions with which this callback ends the run, besides ``RLOptimizer(stop_on=...)``.

    Example:
        >>> class PrintChampion(LoopCallback):
        ...     def on_improvement(self, snapshot):
        ...         print("new best:", snapshot.eval_metrics.primary_score)
    """

    stop_on: tuple[type[Exception], ...] = ()

    def on_run_start(self, run: RunView) -> None:
        """Called once, before anything else happens, with what may be read of the run from then on."""

    def on_loop_start(self) -> None:
        """Called once, before the first window of a run."""

    def on_window(self, row: Mapping[str, Any], window: EpisodeData) -> None:
        """Called after every window, before ``on_episode_end``, with its row of the history; neither may be changed."""

    def on_greedy_episodes(self, use: str, num_episodes: int) -> None:
        """Called before greedy episodes are played; ``use`` is what their steps are booked as, see ``RunResult``."""

    def on_decision(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Called when the loop decided something that no other hook tells: what ``docs/watching.md`` lists."""

    def on_run_end(self, result: RunResult) -> None:
        """Called once with what the run came to, before ``on_loop_stop``: after the report, or after an error.

        Everything is on disk by then. Not called where there is no result: after a second Ctrl-C.
        """

    def on_loop_stop(self) -> None:
        """Called once, however the run ended."""

    def on_episode_end(self, episode_id: int, eval_metrics: EvalMetrics | None) -> None:
        """Called after every window; ``eval_metrics`` is None when it gave no evidence."""

    def on_improvement(self, snapshot: PolicySnapshot) -> None:
        """Called with each new champion."""

    def on_plateau(self, episode_id: int, state: LoopState) -> None:
        """Called on entering COOLING."""

    def on_dormant(self, episode_id: int) -> None:
        """Called on entering DORMANT."""

    def on_degradation(self, episode_id: int, eval_metrics: EvalMetrics) -> None:
        """Called once per alarm."""

    def on_hyperparam_update(self, old_params: dict[str, Any], new_params: dict[str, Any]) -> None:
        """Called when the value of a hyperparameter changed."""


HOOKS = {
    name: tuple(inspect.signature(hook).parameters)[1:]
    for name, hook in vars(LoopCallback).items()
    if name.startswith("on_")
}
"""Every hook, with the names of what it is given."""


class CallbackList:
    """Hands each event on to every callback, and survives those that raise.

    Args:
        callbacks: A list of them.
        stop_on: Classes of exceptions with which a callback ends the run, beside ``StopRun``.

    Attributes:
        why_to_end: What a callback ended the run with, in words; None while none did.

    Raises:
        InvalidTypeError: ``callbacks`` is no list of callbacks, or ``stop_on`` no tuple of classes.
        InvalidArgumentError: A method looks like a hook and is none, or does not take what the hook is given.
    """

    def __init__(self, callbacks: Iterable[Any] | None = None, stop_on: Any = ()) -> None:
        self.callbacks = checked_callbacks(callbacks)
        self._whole = [completed(callback, LoopCallback) for callback in self.callbacks]
        told = [callback.stop_on for callback in self._whole if isinstance(callback.stop_on, (tuple, list, type))]
        own = [kind for kinds in told for kind in checked_stop_on(kinds)]
        self._stop_on = (*checked_stop_on(stop_on), *own)
        self._ends_with: tuple[type[Exception], ...] = (StopRun, *self._stop_on)
        self.why_to_end: str | None = None
        self._to_raise: Exception | None = None

    def listen(self, callback: LoopCallback) -> None:
        """Let a part of the loop hear what callbacks hear; it is none of the user's."""
        self._whole.append(callback)

    def begin_run(self) -> None:
        """Forget what ended an earlier run."""
        self.why_to_end = self._to_raise = None

    def fire(self, hook: str, *args: Any) -> None:
        """Call ``hook`` on every callback."""
        for callback in self._whole:
            try:
                getattr(callback, hook)(*args)
            except self._ends_with as error:
                self._end_run(f"{type(callback).__name__}.{hook}", error)
            except Exception:
                logger.exception("Callback %s.%s raised; the loop goes on.", type(callback).__name__, hook)

    def _end_run(self, where: str, error: Exception) -> None:
        said = f": {error}" if str(error) else ""
        self.why_to_end = self.why_to_end or f"{where} raised {type(error).__name__}{said}"
        if self._to_raise is None and isinstance(error, self._stop_on):
            self._to_raise = error

    def raise_again(self) -> None:
        """Raise what a callback ended the run with, where whoever called ``run()`` asked for it."""
        if self._to_raise is not None:
            raise self._to_raise


def checked_callbacks(callbacks: Any) -> list[Any]:
    """Return the callbacks as a list, or raise if one of them could never be called.

    Raises:
        InvalidTypeError: Not a list of objects that have hooks.
        InvalidArgumentError: A method looks like a hook and is none, or does not take what the hook is given.
    """
    if callbacks is None:
        return []
    if _hooks_of(callbacks):
        raise InvalidTypeError(
            f"`callbacks` must be a list of callbacks. {received(callbacks)} Put it in a list: [...]."
        )
    if not isinstance(callbacks, Iterable) or isinstance(callbacks, str | bytes | Mapping | np.ndarray):
        raise InvalidTypeError(f"`callbacks` must be a list of callbacks. {received(callbacks)}{_ADVICE}")
    checked = list(callbacks)
    for i, callback in enumerate(checked):
        _check_callback(f"callbacks[{i}]", callback)
    return checked


_ADVICE = " Derive a class from LoopCallback, override the hooks you need, and give [YourCallback()]."


def _hooks_of(callback: Any) -> list[str]:
    """Return the names of what looks like a hook; a class has none to call yet."""
    if isinstance(callback, type):
        return []
    return sorted(name for name in dir(callback) if name.startswith("on_"))


def _check_callback(name: str, callback: Any) -> None:
    if isinstance(callback, type) and issubclass(callback, LoopCallback):
        raise InvalidTypeError(
            f"`{name}` is the class {callback.__name__}. Give an object of it: {callback.__name__}()."
        )
    hooks = _hooks_of(callback)
    if not hooks:
        raise InvalidTypeError(f"`{name}` must be a callback: an object with hooks. {received(callback)}{_ADVICE}")
    kind = type(callback).__name__
    for hook in hooks:
        method, arguments = getattr(callback, hook), HOOKS.get(hook, ())
        if hook not in HOOKS:
            if callable(method):
                raise InvalidArgumentError(
                    f"{kind}.{hook} would never be called: there is no such hook.{nearest(hook, HOOKS)} "
                    f"The hooks are {', '.join(HOOKS)}. Name methods of your own without on_."
                )
        elif not (callable(method) and can_be_called(method, arguments)):
            raise InvalidArgumentError(
                f"{kind}.{hook} must be a method that takes ({', '.join(arguments)}), by position. {received(method)}"
            )


def checked_stop_on(stop_on: Any) -> tuple[type[Exception], ...]:
    """Return the classes of exceptions as a tuple, or raise ``InvalidTypeError`` if they are none."""
    expected = "`stop_on` must be a tuple of classes of exceptions, such as (optuna.TrialPruned,)."
    if isinstance(stop_on, type):
        raise InvalidTypeError(f"{expected} {received(stop_on)} Put it in a tuple: ({stop_on.__name__},).")
    if not isinstance(stop_on, Iterable) or isinstance(stop_on, str | bytes | Mapping | np.ndarray):
        raise InvalidTypeError(f"{expected} {received(stop_on)}")
    classes = tuple(stop_on)
    for i, one in enumerate(classes):
        if not (isinstance(one, type) and issubclass(one, Exception)):
            hint = f" Give the class, {type(one).__name__}." if isinstance(one, Exception) else ""
            raise InvalidTypeError(f"`stop_on[{i}]` must be a class derived from Exception. {received(one)}{hint}")
    return classes
