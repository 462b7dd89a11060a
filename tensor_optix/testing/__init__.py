"""Fakes and conformance suites that users' own agents, pipelines and optimizers can run too."""
