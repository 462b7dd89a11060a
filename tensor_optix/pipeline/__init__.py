"""The only place that steps an environment or listens to a feed.

Names are loaded when first used, so that one kind of pipeline does not pay for the other.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensor_optix.pipeline.batch_pipeline import BatchPipeline
    from tensor_optix.pipeline.environment_names import EnvironmentName
    from tensor_optix.pipeline.evaluation import evaluate
    from tensor_optix.pipeline.live_pipeline import LivePipeline

_HOME_OF = {
    "BatchPipeline": "batch_pipeline",
    "EnvironmentName": "environment_names",
    "LivePipeline": "live_pipeline",
    "evaluate": "evaluation",
}

__all__ = [
    "BatchPipeline",
    "EnvironmentName",
    "LivePipeline",
    "evaluate",
]


if not TYPE_CHECKING:  # with it, every name would be one

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
