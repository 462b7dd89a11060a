"""The only place that steps an environment or listens to a feed. Nothing here learns, scores or judges.

Names are loaded when first used, so that one kind of pipeline does not pay for the other.
"""

from typing import TYPE_CHECKING

from tensor_optix.lazy_names import lazy_names

if TYPE_CHECKING:
    from tensor_optix.pipeline.batch_pipeline import BatchPipeline as BatchPipeline
    from tensor_optix.pipeline.environment_names import EnvironmentName as EnvironmentName
    from tensor_optix.pipeline.evaluation import evaluate as evaluate
    from tensor_optix.pipeline.live_pipeline import LivePipeline as LivePipeline
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "batch_pipeline": ["BatchPipeline"],
            "environment_names": ["EnvironmentName"],
            "evaluation": ["evaluate"],
            "live_pipeline": ["LivePipeline"],
        },
    )
