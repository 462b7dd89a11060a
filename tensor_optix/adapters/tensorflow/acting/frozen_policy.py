"""A frozen copy of how a ``TFAgent`` acts."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.acting.forward import Forward
from tensor_optix.adapters.tensorflow.acting.noise_stream import NoiseStream
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler


class FrozenPolicy:
    """Acts as the agent did when this was taken, from any thread, with noise of its own.

    Args:
        forward: A snapshot of the agent's forward pass.
        sampler: How outputs become actions.
        rng: Source of exploration; nothing else draws from it.
        version: The agent's version at that moment.
    """

    def __init__(self, forward: Forward, sampler: ActionSampler, rng: np.random.Generator, version: int) -> None:
        self.version = version
        self._forward = forward
        self._sampler = sampler
        self._noise = NoiseStream(rng, sampler.draw_noise)
        self._lock = threading.Lock()

    def act(self, observation: Any, *, greedy: bool = False) -> Any:
        """Return an action for one observation."""
        outputs = self._forward.one(observation)
        if greedy:
            return self._sampler.greedy_one(outputs)
        with self._lock:
            noise = self._noise.one()
        return self._sampler.sample_one(outputs, noise)

    def act_with_log_prob(self, observation: Any) -> tuple[Any, float]:
        """Draw an action for one observation; return it and its log-probability.

        Live feeds record it, since the learner's policy has moved on by the time of learning.
        """
        outputs = self._forward.one(observation)
        with self._lock:
            noise = self._noise.one()
        action = self._sampler.sample_one(outputs, noise)
        return action, float(self._sampler.log_prob(outputs[None], np.asarray(action)[None])[0])

    def act_batch(self, observations: Any, *, greedy: bool = False) -> np.ndarray:
        """Return actions ``[N, ...]`` for observations ``[N, ...]``."""
        outputs = self._forward(observations)
        if greedy:
            return self._sampler.greedy(outputs)
        with self._lock:
            noise = self._noise.batch(len(outputs))
        return self._sampler.sample(outputs, noise)
