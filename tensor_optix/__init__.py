"""An autonomous, continuous learning loop for reinforcement-learning agents.

Every public name is importable from here and loaded when first used (PEP 562), so that importing
the package costs no TensorFlow.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

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

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
