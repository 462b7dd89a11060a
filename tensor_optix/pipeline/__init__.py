"""The only place that steps an environment or listens to a feed.

Names are loaded when first used, so that one kind of pipeline does not pay for the other.
"""

import importlib
from typing import Any

_HOME_OF = {
    "BatchPipeline": "batch_pipeline",
    "LivePipeline": "live_pipeline",
    "evaluate": "evaluation",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
