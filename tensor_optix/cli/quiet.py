"""TensorFlow without its greeting."""

from __future__ import annotations

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
    with _stderr_turned_away():
        import tensorflow as tf

        tf.config.list_logical_devices()


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
