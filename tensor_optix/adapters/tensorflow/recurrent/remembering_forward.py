"""Acting with memory: a forward pass that carries its states from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward
from tensor_optix.adapters.tensorflow.acting.forward import Forward, Outputs
from tensor_optix.adapters.tensorflow.learning.actor_critic import PolicyNetwork
from tensor_optix.adapters.tensorflow.models.memory_models import StateSpec
from tensor_optix.exceptions import StateMismatchError

States = list[np.ndarray]
"""What is remembered of N environments, one array ``[N, ...]`` each."""


_PREFIX = "memory."


class RememberingForward(Forward):
    """Gives a policy's outputs for observations alone; what the model gives for the next step is kept here.

    Not for use by two threads at once: they share :attr:`stateless`, and keep the states themselves.

    Args:
        stateless: From ``(observation, *states)`` to ``(outputs, *new states)``.
        specs: What the states are.

    Attributes:
        states: Those of the running episodes, by the number of environments that step together: one that is acted in
            alone does not disturb the others.
    """

    def __init__(self, stateless: Forward, specs: Sequence[StateSpec]) -> None:
        self.stateless = stateless
        self.kind = stateless.kind
        self.specs = tuple(specs)
        self.states: dict[int, States] = {}

    def __call__(self, observations: Any) -> Outputs:
        """Go on by one step in each environment."""
        num_envs = num_rows(observations)
        outputs, *after = self.stateless((observations, *self.states_of(num_envs)))
        self.states[num_envs] = after
        return outputs

    def one(self, observation: Any) -> Outputs:
        """Go on by one step in the one environment."""
        outputs, *after = self.stateless.one((observation, *[state[0] for state in self.states_of(1)]))
        self.states[1] = [state[np.newaxis] for state in after]
        return outputs

    def states_of(self, num_envs: int) -> States:
        """Return what is remembered of so many environments that step together; zeros where episodes begin."""
        if num_envs not in self.states:
            self.states[num_envs] = [spec.zeros(num_envs) for spec in self.specs]
        return self.states[num_envs]

    def begin_episodes(self, is_first: Any) -> None:
        """Forget, where an episode begins with the next observation, ``[N]`` bool."""
        flags = np.asarray(is_first, bool).reshape(-1)
        for state in self.states_of(len(flags)):
            state[flags] = 0

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of what is remembered, ``memory.<number of environments>.<number of the state>``."""
        held = self.states.items()
        return {f"{_PREFIX}{n}.{i}": x.copy() for n, states in held for i, x in enumerate(states)}

    def checked(self, arrays: Mapping[str, np.ndarray]) -> dict[int, States] | None:
        """Return what a saved agent remembered; None where it does not tell.

        Raises:
            StateMismatchError: These are no states of this policy.
        """
        told = {name: array for name, array in arrays.items() if name.startswith(_PREFIX)}
        if not told:
            return None
        found: dict[int, States] = {}
        for name, array in told.items():
            envs, _, place = name.removeprefix(_PREFIX).partition(".")
            spec = self.specs[int(place)] if envs.isdecimal() and place in map(str, range(len(self.specs))) else None
            if spec is None or array.shape != (int(envs), *spec.shape) or array.dtype != spec.dtype:
                raise StateMismatchError(
                    f"{name} of the saved state, {array.dtype.name} {array.shape}, is no state of this policy: it "
                    f"remembers {[(x.shape, x.dtype.name) for x in self.specs]} of each environment."
                )
            found.setdefault(int(envs), [x.zeros(int(envs)) for x in self.specs])[int(place)] = array.copy()
        return found

    def refresh(self) -> None:
        """Take over the model's current weights; what is remembered stays."""
        self.stateless.refresh()

    def snapshot(self) -> RememberingForward:
        """Return a frozen copy that remembers nothing yet."""
        return RememberingForward(self.stateless.snapshot(), self.specs)


def forward_of(acting_model: keras.Model, network: PolicyNetwork, example: Any) -> Forward:
    """Return how a network's acting model acts, remembering where it does.

    Args:
        acting_model: What the network made for acting.
        network: It.
        example: One observation.
    """
    if not network.states:
        return compile_forward(acting_model, example)
    seen = network.inputs.structured(network.inputs.flat(example, batched=False))
    stateless = compile_forward(acting_model, (seen, *[spec.zeros(1)[0] for spec in network.states]))
    return RememberingForward(stateless, network.states)


def num_rows(observations: Any) -> int:
    """Return of how many environments there are observations: arrays, or dicts or tuples of them."""
    while isinstance(observations, Mapping | tuple):
        observations = next(iter(observations.values() if isinstance(observations, Mapping) else observations))
    return len(observations)
