"""What off-policy algorithms share: a replay, a count of what was done, and a state that holds both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import first_of
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.adapters.tensorflow.learning.actor_critic import PolicyNetwork
from tensor_optix.adapters.tensorflow.learning.reward_units import (
    RewardLevel,
    RewardSize,
    RewardUnits,
    as_arrays,
    as_lists,
)
from tensor_optix.adapters.tensorflow.learning.window_steps import Told, flat_parts
from tensor_optix.adapters.tensorflow.saving.state_checks import check_counts, check_generator
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.algorithms.gradient_loop import MAX_FEED_BYTES
from tensor_optix.algorithms.replay.batch import Batch
from tensor_optix.algorithms.replay.memory import require_memory
from tensor_optix.algorithms.replay.replay_buffer import ReplayBuffer, memory_bytes
from tensor_optix.algorithms.shadow_network import ShadowNetwork
from tensor_optix.core.checks import check_flags, check_instance, check_int, check_ints
from tensor_optix.core.storage.plain_state import require_like
from tensor_optix.core.types import AgentState, EpisodeData, HyperparamSet, StateScope
from tensor_optix.exceptions import NonFiniteError, StateMismatchError
from tensor_optix.functional.seeding import derive_rng

_REPLAY = "replay."
_MOST_OWED = 100_000
"""Env steps that a saved learner may still have to learn from, where fewer than ``train_frequency`` are left over."""


class ReplayLearner:
    """What an off-policy learner goes on from, apart from variables: counts, what it draws from, what it remembers.

    The replay is forgotten in a changed world, but saved by itself: it is large.

    Args:
        rng: What the learner draws from, apart from batches.
        replay: What it remembers.
        scales_rewards: Whether rewards are told less their level, in units of their usual size.

    Attributes:
        env_steps: Steps stored.
        exploration_steps: Where the exploration schedule stands, in env steps.
        gradient_steps: Gradient steps taken.
    """

    _COUNTS = ("env_steps", "exploration_steps", "gradient_steps", "_credit_steps")
    """What counts time. What was learned, and what is drawn, goes with the weights."""

    def __init__(self, rng: np.random.Generator, replay: ReplayBuffer, scales_rewards: bool = False) -> None:
        self.rng = rng
        self._replay = replay
        self._level = RewardLevel() if scales_rewards else None
        self._size = RewardSize() if scales_rewards else None
        self.env_steps = self.exploration_steps = self.gradient_steps = self._credit_steps = 0

    def advance(self, num_steps: int, learning_starts: int, train_frequency: int, gradient_steps: int) -> int:
        """Count ``num_steps`` env steps and return how many gradient steps they bring.

        ``gradient_steps`` for every ``train_frequency`` env steps after the first ``learning_starts``;
        what is left over counts with the next window.
        """
        self.env_steps += num_steps
        self.exploration_steps += num_steps
        self._credit_steps += min(num_steps, max(0, self.env_steps - learning_starts))
        rounds, self._credit_steps = divmod(self._credit_steps, train_frequency)
        return rounds * gradient_steps

    @property
    def counts(self) -> dict[str, int]:
        """What was counted so far, by name."""
        return {name: getattr(self, name) for name in self._COUNTS}

    def go_on_from(self, counts: Mapping[str, int]) -> None:
        """Go on from counts taken earlier, unless these are further on: then they belong to a longer life."""
        if counts["env_steps"] >= self.env_steps:
            for name in self._COUNTS:
                setattr(self, name, int(counts[name]))

    def observe_rewards(self, window: EpisodeData) -> None:
        """Find level and size of rewards from one more window."""
        level, size = self._level, self._size
        if level is None or size is None:
            return
        told = Told(window)
        rewards = told.rewards.astype(np.float32).astype(np.float64)  # as the replay holds them
        ended = told.terminated | told.truncated
        if level.observe(rewards, told.terminated, ended, told.valid, told.fresh_start):
            size.forget()
        size.observe(rewards[told.valid], level.units(0.0).level)

    def reward_units(self, gamma: float) -> RewardUnits:
        """Return what values are told in."""
        if self._level is None or self._size is None:
            return RewardUnits()
        return replace(self._level.units(gamma), size=self._size.value)

    def lose_place(self) -> None:
        """Forget how far the running episodes are: the learner is what it was earlier, the environments are not."""
        if self._level is not None:
            self._level.lose_place()

    def on_world_change(self) -> None:
        """Forget the steps of the old world."""
        self._replay.clear()

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw what ``rng`` would."""
        self.rng = rng

    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays (none) and JSON-able values."""
        parts = {name: as_lists(part.state_dict()) for name, part in self._rewards().items()}
        return {}, {
            "progress": self.counts,
            "generator": self.rng.bit_generator.state,
            **({"rewards": parts} if parts else {}),
        }

    def _rewards(self) -> dict[str, Any]:
        return {} if self._level is None else {"level": self._level, "size": self._size}

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        require_like(meta, self.state_dict()[1], "learner", may_lack=("rewards",), is_fixed=True)
        check_counts("learner", **{name: meta["progress"][name] for name in self._COUNTS})
        check_generator("learner", meta["generator"])
        for name, part in self._rewards().items():
            part.check_state(as_arrays(meta.get("rewards", {}).get(name, {}), part.state_dict(), name))

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Become what :meth:`state_dict` returned."""
        for name in self._COUNTS:
            setattr(self, name, int(meta["progress"][name]))
        self.rng.bit_generator.state = meta["generator"]
        for name, part in self._rewards().items():
            part.load_state_dict(as_arrays(meta.get("rewards", {}).get(name, {}), part.state_dict(), name))


class OffPolicyAgent(TFAgent):
    """A ``TFAgent`` that learns from a replay; the base of ``DQNAgent`` and ``SACAgent``, which tell the arguments."""

    _makes_models = True
    _saved_as = "OffPolicyAgent"
    _keeps_other_hyperparams = False
    _metrics: ClassVar[tuple[str, ...]] = ()
    _structure: ClassVar[tuple[str, ...]] = (
        *("batch_size", "buffer_size", "learning_starts", "num_steps"),
        *("normalize_observations", "hidden_units"),
    )

    def __init__(
        self,
        model: keras.Model | None,
        optimizer: keras.optimizers.Optimizer | None,
        hyperparams: HyperparamSet | None,
        *,
        batch_size: int,
        buffer_size: int,
        learning_starts: int,
        num_steps: int,
        prioritised: bool = False,
        normalize_observations: bool,
        hidden_units: Sequence[int],
        scale_rewards: bool = False,
    ) -> None:
        for name, value in {"batch_size": batch_size, "buffer_size": buffer_size, "num_steps": num_steps}.items():
            check_int(name, value, at_least=1)
        check_int("learning_starts", learning_starts, at_least=0)
        check_ints("hidden_units", hidden_units, at_least=1)
        check_flags(prioritised=prioritised, normalize_observations=normalize_observations, scale_rewards=scale_rewards)
        self.batch_size = int(batch_size)
        self.buffer_size = int(buffer_size)
        self.learning_starts = int(learning_starts)
        self.num_steps = int(num_steps)
        self.prioritised = bool(prioritised)
        self.normalize_observations = bool(normalize_observations)
        self.scale_rewards = bool(scale_rewards)
        self.hidden_units = tuple(int(units) for units in hidden_units)
        super().__init__(model, optimizer, hyperparams)  # type: ignore[arg-type]  # None: the defaults

    # Learning

    def _remember(self, window: EpisodeData) -> int:
        """Store a window and return how many gradient steps are due."""
        if self._sampler is None:
            self._infer(first_of(window.observations))
        self._follow_flags()
        self._note_masks(window)
        added = self.replay.add(window)
        self._learner.observe_rewards(window)
        self._observe(window)
        params = self._hyperparams.params
        # A replay that was emptied, or is not among what was loaded, is filled again before it is learned from.
        forgotten = max(0, self._learner.env_steps + added - self.replay.rows_written)
        due = self._learner.advance(
            added, self.learning_starts + forgotten, int(params["train_frequency"]), int(params["gradient_steps"])
        )
        return due if len(self.replay) else 0

    def _learn_in_calls(self, num_updates: int, update: Callable[[slice], dict[str, float]]) -> dict[str, float]:
        """Take gradient steps in as few calls as memory allows, and return diagnostics, means of metrics among them."""
        sums = dict.fromkeys(self._metrics, 0.0)
        step = self._batches_per_call()
        # Within one call a bad step is undone there; before it others may have been.
        saved = [(v, v.numpy()) for v in self._variables()] if num_updates > step else []
        try:
            for start in range(0, num_updates, step):
                part = slice(start, min(start + step, num_updates))
                for name, mean in update(part).items():
                    sums[name] += mean * (part.stop - part.start)
        except NonFiniteError:
            for variable, value in saved:
                variable.assign(value)
            raise
        self._learner.gradient_steps += num_updates
        self._follow_progress()
        return {
            **{name: total / max(1, num_updates) for name, total in sums.items()},
            "num_gradient_steps": float(num_updates),
            "learning_rate": self._base_learning_rate(),
            "replay_size": float(len(self.replay)),
        }

    def _variables(self) -> list[Any]:
        """Return everything that a gradient step may change."""
        raise NotImplementedError

    def _observe(self, window: EpisodeData) -> None:
        if not self._normalizer.is_active:
            return
        valid = slice(None) if window.valid is None else np.asarray(window.valid, bool).reshape(-1)
        self._normalizer.observe([part[valid] for part in flat_parts(window, self._inputs)])

    def _batches_per_call(self) -> int:
        parts = self._inputs.flat(self._example, batched=False)
        return max(1, MAX_FEED_BYTES // (self.batch_size * (2 * sum(part.nbytes for part in parts) + 64)))

    def _observations_of(self, batch: Batch, num_batches: int) -> dict[str, np.ndarray]:
        """Return the model's parts of drawn observations, ``[K, B, ...]`` each, in the dtypes they are kept in."""
        feed = {}
        for name, observations in (("o_t", batch.observations), ("o_tpk", batch.next_observations)):
            for i, part in enumerate(self._inputs.flat(observations, batched=True)):
                feed[f"{name}_{i}"] = part.reshape(num_batches, self.batch_size, *part.shape[1:])
        return feed

    def _prepared(self, batch: Mapping[str, Any], name: str) -> list[Any]:
        """Return the parts of observations ``name`` as the models take them; traced."""
        parts = [tf.cast(batch[f"{name}_{i}"], dtype) for i, dtype in enumerate(self._inputs.dtypes)]
        prepared: list[Any] = self._normalizer(parts)
        return prepared

    def _outputs(self, parts: list[Any]) -> Any:
        """Return the acting model's outputs ``[B, K]`` for prepared observations; traced."""
        return self._network.outputs(parts)

    def _follow_progress(self) -> None:
        """Let exploration stand where the counts say."""
        raise NotImplementedError

    # How the parts are made, at bind()

    def _assemble(self, network: PolicyNetwork, sampler: ActionSampler, example: Any) -> None:
        self._example = example
        action = np.zeros(*self._action_layout())
        require_memory(memory_bytes(self.buffer_size, example, action, prioritised=self.prioritised), self.buffer_size)
        rng = derive_rng(self._seed, "replay")
        self.replay = ReplayBuffer(
            self.buffer_size, example, action, rng, prioritised=self.prioritised, mask_layout=sampler.mask_layout
        )
        super()._assemble(network, sampler, example)

    def _reseed(self, seed: int) -> None:
        super()._reseed(seed)
        self.replay.reseed(derive_rng(seed, "replay"))

    def _action_layout(self) -> tuple[tuple[int, ...], Any]:
        space = self._spaces[1]
        return ((), np.int64) if space is None else (space.shape, space.dtype)

    def _make_learner(self) -> ReplayLearner:
        self._make_networks()
        return ReplayLearner(derive_rng(self._seed, "learn"), self.replay, self.scale_rewards)

    def _make_networks(self) -> None:
        """Make what learns: targets, other networks, the traced update."""
        raise NotImplementedError

    def _make_loop(self) -> None:
        """Make the traced update."""
        raise NotImplementedError

    def _shadows(self) -> list[ShadowNetwork]:
        """Return the networks on weights of their own, each after what it is a shadow of."""
        raise NotImplementedError

    def _follow_trained(self) -> None:
        for shadow in self._shadows():
            shadow.follow_trained()
        self._make_loop()

    # State

    def get_state(self, scope: StateScope = "learner") -> AgentState:
        """Return weights, and with the scope what learning goes on from; "all" adds the replay.

        The replay's observations are read-only views that stay what they are while the buffer is
        written to, so a large replay is not copied to be saved.
        """
        state = super().get_state(scope)
        if scope == "all":
            arrays, state.meta["replay"] = self.replay.state_dict()
            state.arrays |= {_REPLAY + name: array for name, array in arrays.items()}
        return state

    def set_state(self, state: AgentState) -> None:
        """Become what ``state`` says, all or nothing; acting and learning then go on bit for bit."""
        self._require_ready()
        check_instance("state", state, AgentState)
        arrays = {n.removeprefix(_REPLAY): a for n, a in state.arrays.items() if n.startswith(_REPLAY)}
        if state.scope == "all":
            self.replay.check_state(arrays, state.meta["replay"])
        super().set_state(state)
        if state.scope == "all":
            self.replay.load_state_dict(arrays, state.meta["replay"])
        if state.scope != "policy":
            self._follow_progress()

    def go_back_to(self, state: AgentState) -> None:
        """Become what an earlier state says; env steps, exploration and what is owed to them stay as they are."""
        self._require_ready()
        counts = self._learner.counts
        super().go_back_to(state)
        self._learner.go_on_from(counts)
        self._follow_progress()

    def _check(self, state: AgentState) -> None:
        super()._check(state)
        if state.scope == "policy":
            return
        owed, frequency = state.meta["learner"]["progress"]["_credit_steps"], self._saved_hyperparams(state).params
        if owed > max(_MOST_OWED, frequency["train_frequency"]):
            raise StateMismatchError(
                f"The saved learner has {owed} env steps to learn from, which is more than any window leaves over. "
                "The file was altered; an earlier one may be whole."
            )
