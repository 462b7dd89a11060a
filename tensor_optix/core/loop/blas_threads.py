"""One thread for NumPy's linear algebra while any run is on."""

from __future__ import annotations

import threading
from typing import Any

from threadpoolctl import ThreadpoolController

_BLAS = ThreadpoolController().select(user_api="blas")
"""Looking for it takes a while in a process that has loaded TensorFlow: done once."""


class OneBlasThread:
    """Limits the library to one thread, from the first run that begins to the last that ends.

    Two threads on small matrices wait for each other more than they work. Runs may overlap, and the number belongs to
    the process: it comes back to what it was when no run is on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_runs = 0
        self._limit: Any = None

    def __enter__(self) -> OneBlasThread:
        with self._lock:
            if self._num_runs == 0:
                self._limit = _BLAS.limit(limits=1)
                self._limit.__enter__()
            self._num_runs += 1
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._num_runs -= 1
            if self._num_runs == 0:
                self._limit.__exit__(*exception)


ONE_BLAS_THREAD = OneBlasThread()
