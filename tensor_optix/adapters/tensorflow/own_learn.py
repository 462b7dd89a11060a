"""Subclasses of ``TFAgent`` that learn their own way."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def adopt(cls: Any) -> None:
    """Let acting follow the weights after a class's own ``learn``, and promise only what it promises itself."""
    if "learn" not in vars(cls):
        return
    for promise in ("undoes_bad_updates", "tells_what_it_used"):
        setattr(cls, promise, bool(vars(cls).get(promise, False)))
    cls.learn = _followed_by_refresh(cls.learn)


def _followed_by_refresh(learn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(learn)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return learn(self, *args, **kwargs)
        finally:
            self._after_learn()

    return wrapped
