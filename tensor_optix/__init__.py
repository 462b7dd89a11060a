"""An autonomous, continuous learning loop for reinforcement-learning agents.

Every public name is importable from here and loaded when first used (PEP 562), so that importing
the package costs no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.loading import load_agent
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
    from tensor_optix.adapters.tensorflow.tf_evaluator import TFEvaluator
    from tensor_optix.algorithms.dqn import DQNAgent
    from tensor_optix.algorithms.ppo import PPOAgent
    from tensor_optix.algorithms.sac import SACAgent
    from tensor_optix.core.backoff_scheduler import BackoffScheduler
    from tensor_optix.core.base_agent import BaseAgent, Policy
    from tensor_optix.core.base_evaluator import BaseEvaluator
    from tensor_optix.core.base_optimizer import BaseOptimizer
    from tensor_optix.core.base_pipeline import BasePipeline, EpisodeBoundaryFn
    from tensor_optix.core.callbacks import LoopCallback
    from tensor_optix.core.checkpoint_registry import CheckpointRegistry
    from tensor_optix.core.loop_controller import LoopController
    from tensor_optix.core.run_result import RunResult
    from tensor_optix.core.types import (
        AgentState,
        EpisodeData,
        EvalMetrics,
        EvaluationResult,
        HyperparamSet,
        LoopState,
        ParamSpec,
        PolicySnapshot,
    )
    from tensor_optix.exceptions import TensorOptixError
    from tensor_optix.monitoring.degradation_detector import DegradationDetector
    from tensor_optix.monitoring.plateau_detector import PlateauDetector
    from tensor_optix.monitoring.trend import Trend
    from tensor_optix.optimizer import RLOptimizer
    from tensor_optix.optimizers.backoff_optimizer import BackoffOptimizer
    from tensor_optix.optimizers.pbt_optimizer import PBTOptimizer
    from tensor_optix.pipeline.batch_pipeline import BatchPipeline
    from tensor_optix.pipeline.environment_names import EnvironmentName
    from tensor_optix.pipeline.evaluation import evaluate
    from tensor_optix.pipeline.live_pipeline import LivePipeline
    from tensor_optix.presets import make_agent, make_pipeline

_HOME_OF = {
    "AgentState": "core.types",
    "BackoffOptimizer": "optimizers.backoff_optimizer",
    "BackoffScheduler": "core.backoff_scheduler",
    "BaseAgent": "core.base_agent",
    "BaseEvaluator": "core.base_evaluator",
    "BaseOptimizer": "core.base_optimizer",
    "BasePipeline": "core.base_pipeline",
    "BatchPipeline": "pipeline.batch_pipeline",
    "CheckpointRegistry": "core.checkpoint_registry",
    "DQNAgent": "algorithms.dqn",
    "DegradationDetector": "monitoring.degradation_detector",
    "EnvironmentName": "pipeline.environment_names",
    "EpisodeBoundaryFn": "core.base_pipeline",
    "EpisodeData": "core.types",
    "EvalMetrics": "core.types",
    "EvaluationResult": "core.types",
    "HyperparamSet": "core.types",
    "LivePipeline": "pipeline.live_pipeline",
    "LoopCallback": "core.callbacks",
    "LoopController": "core.loop_controller",
    "LoopState": "core.types",
    "PBTOptimizer": "optimizers.pbt_optimizer",
    "PPOAgent": "algorithms.ppo",
    "ParamSpec": "core.types",
    "PlateauDetector": "monitoring.plateau_detector",
    "Policy": "core.base_agent",
    "PolicySnapshot": "core.types",
    "RLOptimizer": "optimizer",
    "RunResult": "core.run_result",
    "SACAgent": "algorithms.sac",
    "TFAgent": "adapters.tensorflow.tf_agent",
    "TFEvaluator": "adapters.tensorflow.tf_evaluator",
    "TensorOptixError": "exceptions",
    "Trend": "monitoring.trend",
    "evaluate": "pipeline.evaluation",
    "load_agent": "adapters.tensorflow.loading",
    "make_agent": "presets",
    "make_pipeline": "presets",
}

__all__ = [
    "AgentState",
    "BackoffOptimizer",
    "BackoffScheduler",
    "BaseAgent",
    "BaseEvaluator",
    "BaseOptimizer",
    "BasePipeline",
    "BatchPipeline",
    "CheckpointRegistry",
    "DQNAgent",
    "DegradationDetector",
    "EnvironmentName",
    "EpisodeBoundaryFn",
    "EpisodeData",
    "EvalMetrics",
    "EvaluationResult",
    "HyperparamSet",
    "LivePipeline",
    "LoopCallback",
    "LoopController",
    "LoopState",
    "PBTOptimizer",
    "PPOAgent",
    "ParamSpec",
    "PlateauDetector",
    "Policy",
    "PolicySnapshot",
    "RLOptimizer",
    "RunResult",
    "SACAgent",
    "TFAgent",
    "TFEvaluator",
    "TensorOptixError",
    "Trend",
    "evaluate",
    "load_agent",
    "make_agent",
    "make_pipeline",
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
