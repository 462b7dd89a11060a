"""An autonomous, continuous learning loop for reinforcement-learning agents.

Every public name is importable from here and loaded when first used (PEP 562), so that importing
the package costs no TensorFlow.
"""

from typing import TYPE_CHECKING

from tensor_optix.lazy_names import lazy_names

__version__ = "0.2.0"

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.loading import load_agent as load_agent
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent as TFAgent
    from tensor_optix.adapters.tensorflow.tf_evaluator import TFEvaluator as TFEvaluator
    from tensor_optix.algorithms.dqn import DQNAgent as DQNAgent
    from tensor_optix.algorithms.ppo import PPOAgent as PPOAgent
    from tensor_optix.algorithms.sac import SACAgent as SACAgent
    from tensor_optix.core.backoff_scheduler import BackoffScheduler as BackoffScheduler
    from tensor_optix.core.base_agent import BaseAgent as BaseAgent
    from tensor_optix.core.base_agent import Policy as Policy
    from tensor_optix.core.base_evaluator import BaseEvaluator as BaseEvaluator
    from tensor_optix.core.base_optimizer import BaseOptimizer as BaseOptimizer
    from tensor_optix.core.base_pipeline import BasePipeline as BasePipeline
    from tensor_optix.core.base_pipeline import EpisodeBoundaryFn as EpisodeBoundaryFn
    from tensor_optix.core.callbacks import LoopCallback as LoopCallback
    from tensor_optix.core.checkpoint_registry import CheckpointRegistry as CheckpointRegistry
    from tensor_optix.core.loop_controller import LoopController as LoopController
    from tensor_optix.core.run_result import RunResult as RunResult
    from tensor_optix.core.search_space import ParamSpec as ParamSpec
    from tensor_optix.core.types import AgentState as AgentState
    from tensor_optix.core.types import EpisodeData as EpisodeData
    from tensor_optix.core.types import EvalMetrics as EvalMetrics
    from tensor_optix.core.types import EvaluationResult as EvaluationResult
    from tensor_optix.core.types import HyperparamSet as HyperparamSet
    from tensor_optix.core.types import LoopState as LoopState
    from tensor_optix.core.types import PolicySnapshot as PolicySnapshot
    from tensor_optix.exceptions import TensorOptixError as TensorOptixError
    from tensor_optix.monitoring.degradation_detector import DegradationDetector as DegradationDetector
    from tensor_optix.monitoring.plateau_detector import PlateauDetector as PlateauDetector
    from tensor_optix.monitoring.trend import Trend as Trend
    from tensor_optix.optimizer import RLOptimizer as RLOptimizer
    from tensor_optix.optimizers.backoff_optimizer import BackoffOptimizer as BackoffOptimizer
    from tensor_optix.optimizers.pbt_optimizer import PBTOptimizer as PBTOptimizer
    from tensor_optix.pipeline.batch_pipeline import BatchPipeline as BatchPipeline
    from tensor_optix.pipeline.environment_names import EnvironmentName as EnvironmentName
    from tensor_optix.pipeline.evaluation import evaluate as evaluate
    from tensor_optix.pipeline.live_pipeline import LivePipeline as LivePipeline
    from tensor_optix.presets import make_agent as make_agent
    from tensor_optix.presets import make_pipeline as make_pipeline
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "adapters.tensorflow.loading": ["load_agent"],
            "adapters.tensorflow.tf_agent": ["TFAgent"],
            "adapters.tensorflow.tf_evaluator": ["TFEvaluator"],
            "algorithms.dqn": ["DQNAgent"],
            "algorithms.ppo": ["PPOAgent"],
            "algorithms.sac": ["SACAgent"],
            "core.backoff_scheduler": ["BackoffScheduler"],
            "core.base_agent": ["BaseAgent", "Policy"],
            "core.base_evaluator": ["BaseEvaluator"],
            "core.base_optimizer": ["BaseOptimizer"],
            "core.base_pipeline": ["BasePipeline", "EpisodeBoundaryFn"],
            "core.callbacks": ["LoopCallback"],
            "core.checkpoint_registry": ["CheckpointRegistry"],
            "core.loop_controller": ["LoopController"],
            "core.run_result": ["RunResult"],
            "core.search_space": ["ParamSpec"],
            "core.types": [
                "AgentState",
                "EpisodeData",
                "EvalMetrics",
                "EvaluationResult",
                "HyperparamSet",
                "LoopState",
                "PolicySnapshot",
            ],
            "exceptions": ["TensorOptixError"],
            "monitoring.degradation_detector": ["DegradationDetector"],
            "monitoring.plateau_detector": ["PlateauDetector"],
            "monitoring.trend": ["Trend"],
            "optimizer": ["RLOptimizer"],
            "optimizers.backoff_optimizer": ["BackoffOptimizer"],
            "optimizers.pbt_optimizer": ["PBTOptimizer"],
            "pipeline.batch_pipeline": ["BatchPipeline"],
            "pipeline.environment_names": ["EnvironmentName"],
            "pipeline.evaluation": ["evaluate"],
            "pipeline.live_pipeline": ["LivePipeline"],
            "presets": ["make_agent", "make_pipeline"],
        },
    )
