"""Packages that are not installed with this one."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensor_optix.exceptions import MissingExtraError


def required(module: str, extra: str, what: str) -> Any:
    """Import a module of an optional package and return it.

    Args:
        module: Its name.
        extra: What installs it with this package, and is named where it is missing.
        what: Who needs it.

    Raises:
        MissingExtraError: It is not installed, or cannot be imported.
    """
    try:
        with _without_collection():
            return importlib.import_module(module)
    except ImportError as error:
        reason = "" if isinstance(error, ModuleNotFoundError) else f" (it is there, but: {error})"
        raise MissingExtraError(
            f'{what} needs a package that is not installed{reason}: pip install "tensor-optix[{extra}]".'
        ) from error


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the garbage collector from looking through all of TensorFlow because an import makes many objects."""
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_collecting:
            gc.enable()
