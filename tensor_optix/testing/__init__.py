"""Fakes and conformance suites that users' own agents, pipelines, evaluators and hyperparameter optimizers can run too.

What only this project's tests and benchmarks need is with them, not here.
"""

from tensor_optix.testing.agent_conformance import AgentConformance
from tensor_optix.testing.evaluator_conformance import EvaluatorConformance
from tensor_optix.testing.optimizer_conformance import OptimizerConformance
from tensor_optix.testing.pipeline_conformance import PipelineConformance

__all__ = ["AgentConformance", "EvaluatorConformance", "OptimizerConformance", "PipelineConformance"]
