"""TensorFlow without its greeting."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def load_tensorflow() -> None:
    """Import TensorFlow and find its devices, and keep what it says about them to itself.

    Its notes on oneDNN and missing GPUs come from C++ before any log level is read (TensorFlow
    2.21), so the file descriptor itself is turned away for the moment; if the import fails, what
    was written is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _stderr_turned_away(), _nothing_in_vain():
        import tensorflow as tf

        tf.config.list_logical_devices()


@contextmanager
def _nothing_in_vain() -> Iterator[None]:
    """Spare an import what nobody needs here.

    Keras imports Matplotlib, if it is there, for pictures that no command draws (3.15); `plot` imports it for its own.
    And of half a million objects that an import makes the garbage collector finds none to be collected: it need not
    look through them while they are made, nor at any time later in this process.
    """
    is_collecting, is_apart = gc.isenabled(), "matplotlib" not in sys.modules
    is_first = "tensorflow" not in sys.modules
    gc.disable()
    if is_apart:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if is_apart:
            del sys.modules["matplotlib"]
        if is_first:
            gc.freeze()
        if is_collecting:
            gc.enable()


@contextmanager
def _stderr_turned_away() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as elsewhere:
        os.dup2(elsewhere.fileno(), 2)
        try:
            yield
        except Exception:
            elsewhere.seek(0)
            os.write(kept, elsewhere.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
