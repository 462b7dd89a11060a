"""Fakes and conformance suites that users' own agents, pipelines and optimizers can run too."""

from tensor_optix.testing.optimizer_conformance import OptimizerConformance

__all__ = ["OptimizerConformance"]
