"""Whether a replay fits into memory, asked before it is filled for hours."""

from __future__ import annotations

import os

from tensor_optix.exceptions import InvalidArgumentError


def require_memory(needed_bytes: int, buffer_size: int) -> None:
    """Raise unless so many bytes are free.

    Raises:
        InvalidArgumentError: They are not; it says how much is needed, and which size would fit.
    """
    free_bytes = available_memory_bytes()
    if free_bytes is not None and needed_bytes > free_bytes:
        raise InvalidArgumentError(
            f"A replay with buffer_size={buffer_size} would take {needed_bytes / 2**30:.1f} GiB, but "
            f"{free_bytes / 2**30:.1f} GiB of memory are free. "
            f"Pass a smaller one, for example buffer_size={int(buffer_size * 0.8 * free_bytes / needed_bytes)}."
        )


def available_memory_bytes() -> int | None:
    """Return how much memory may still be taken, None where that cannot be told.

    On Linux what the kernel calls available; elsewhere all there is.
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:
        return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return None
