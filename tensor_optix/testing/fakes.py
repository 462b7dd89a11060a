"""Small stand-ins that drive the real loop without any framework."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.types import AgentState, EpisodeData, EvalMetrics, EvaluationResult, HyperparamSet
from tensor_optix.functional.statistics import mean_interval


class SixMethodAgent(BaseAgent):
    """An agent with only the six methods; its one weight counts how often it learned.

    Args:
        params: Hyperparameters to start with.
    """

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.weight = 0.0
        self.hyperparams = HyperparamSet(dict(params or {}), episode_id=0)
        self.learned_windows: list[int] = []

    def act(self, observation: Any) -> int:
        """Return 0."""
        return 0

    def learn(self, episode_data: EpisodeData) -> dict[str, Any]:
        """Add one to the weight."""
        self.weight += 1.0
        self.learned_windows.append(episode_data.episode_id)
        return {"loss": 1.0 / self.weight}

    def get_hyperparams(self) -> HyperparamSet:
        """Return a copy."""
        return self.hyperparams.copy()

    def set_hyperparams(self, hyperparams: HyperparamSet) -> None:
        """Take a copy."""
        self.hyperparams = hyperparams.copy()

    def save_weights(self, path: str) -> None:
        """Write the weight into a folder."""
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "weight.json"), "w", encoding="utf-8") as file:
            json.dump({"weight": self.weight}, file)

    def load_weights(self, path: str) -> None:
        """Read the weight back."""
        with open(os.path.join(path, "weight.json"), encoding="utf-8") as file:
            self.weight = json.load(file)["weight"]


class StatefulAgent(SixMethodAgent):
    """The same with a state that is captured in memory, an "optimizer" slot included."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        super().__init__(params)
        self.slot = 0.0

    def learn(self, episode_data: EpisodeData) -> dict[str, Any]:
        """Move weight and slot."""
        self.slot += 0.5
        return super().learn(episode_data)

    def get_state(self, scope: str = "learner") -> AgentState:
        """Return weight, slot and hyperparameters."""
        arrays = {"weight": np.array(self.weight), "slot": np.array(self.slot)}
        return AgentState(arrays, {"params": dict(self.hyperparams.params)}, scope)

    def set_state(self, state: AgentState) -> None:
        """Take them back."""
        self.weight = float(state.arrays["weight"])
        self.slot = float(state.arrays["slot"])
        self.hyperparams = HyperparamSet(dict(state.meta["params"]), episode_id=0)


class ScriptedPipeline(BasePipeline):
    """Yields one-step windows whose single reward comes from a script.

    Args:
        scores: Rewards, one a window; NaN for a window without evidence. Or a function of the
            window's number, asked just before the window is yielded.
        live: What ``is_live`` says.
    """

    def __init__(self, scores: Iterable[float] | Callable[[int], float], live: bool = False) -> None:
        self._scores = scores
        self._live = live
        self.num_windows = 0
        self.num_teardowns = 0

    def setup(self) -> None:
        """Do nothing."""

    def teardown(self) -> None:
        """Count."""
        self.num_teardowns += 1

    @property
    def is_live(self) -> bool:
        """As told."""
        return self._live

    def episodes(self) -> Iterator[EpisodeData]:
        """Yield the script's windows; the stream ends where a finite script does."""
        scripted = None if callable(self._scores) else iter(self._scores)
        while True:
            score = self._scores(self.num_windows) if scripted is None else next(scripted, None)  # type: ignore[operator]
            if score is None:
                return
            yield self._window(float(score))
            self.num_windows += 1

    def _window(self, score: float) -> EpisodeData:
        return EpisodeData(
            observations=np.zeros((1, 1), np.float32),
            actions=np.zeros(1, np.int64),
            rewards=np.array([score]),
            terminated=np.array([False]),
            truncated=np.array([False]),
            infos=[{}],
            episode_id=self.num_windows,
        )


class PlayablePipeline(ScriptedPipeline):
    """A scripted pipeline with an environment that greedy episodes can be played in.

    Args:
        scores: See :class:`ScriptedPipeline`.
        play_score: ``() -> float``, asked for the mean return whenever episodes are played; it knows the agent.
        spread: Standard deviation of single returns.
        barrier_every: Every so many windows end with a barrier unasked; 0: only on request.
    """

    def __init__(
        self,
        scores: Iterable[float] | Callable[[int], float],
        play_score: Callable[[], float],
        spread: float = 1.0,
        barrier_every: int = 0,
    ) -> None:
        super().__init__(scores)
        self._play_score = play_score
        self._spread = spread
        self._barrier_every = barrier_every
        self._barrier_requested = False
        self.seeds_played: list[int] = []

    def request_barrier(self) -> bool:
        """Make the next window end with a barrier."""
        self._barrier_requested = True
        return True

    def play_episodes(self, act: Callable[[Any], Any], num_episodes: int, *, seed: int) -> EvaluationResult:
        """Return noisy returns around the score of the agent as it is; same seed, same noise."""
        self.seeds_played.append(seed)
        noise = np.random.default_rng(seed).normal(size=num_episodes)
        returns = self._play_score() + self._spread * noise
        lengths = np.ones(num_episodes, np.int64)
        return EvaluationResult(float(returns.mean()), mean_interval(returns), returns, lengths, num_episodes)

    def _window(self, score: float) -> EpisodeData:
        window = super()._window(score)
        is_regular = bool(self._barrier_every) and self.num_windows % self._barrier_every == 0
        window.metadata["barrier"] = self._barrier_requested or is_regular
        window.completed_lengths = np.ones(1, np.int64)
        self._barrier_requested = False
        return window


class RewardEvaluator(BaseEvaluator):
    """Scores a window by the sum of its rewards."""

    def score(self, episode_data: EpisodeData, train_diagnostics: dict[str, Any]) -> EvalMetrics:
        """Return the sum; NaN stays NaN and means no evidence."""
        return EvalMetrics(episode_data.total_reward, dict(train_diagnostics), episode_data.episode_id)


class RecordingCallback(LoopCallback):
    """Writes down every hook that fired, in order, with its arguments."""

    def __init__(self) -> None:
        self.events: list[tuple[str, tuple[Any, ...]]] = []

    def names(self) -> list[str]:
        """Return the names of the hooks that fired, in order."""
        return [name for name, _ in self.events]

    def count(self, name: str) -> int:
        """Return how often a hook fired."""
        return self.names().count(name)

    def arguments(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each time a hook fired."""
        return [arguments for event, arguments in self.events if event == name]

    def on_loop_start(self) -> None:
        """Record."""
        self.events.append(("on_loop_start", ()))

    def on_loop_stop(self) -> None:
        """Record."""
        self.events.append(("on_loop_stop", ()))

    def on_episode_end(self, *arguments: Any) -> None:
        """Record."""
        self.events.append(("on_episode_end", arguments))

    def on_improvement(self, *arguments: Any) -> None:
        """Record."""
        self.events.append(("on_improvement", arguments))

    def on_plateau(self, *arguments: Any) -> None:
        """Record."""
        self.events.append(("on_plateau", arguments))

    def on_dormant(self, *arguments: Any) -> None:
        """Record."""
        self.events.append(("on_dormant", arguments))

    def on_degradation(self, *arguments: Any) -> None:
        """Record."""
        self.events.append(("on_degradation", arguments))

    def on_hyperparam_update(self, *arguments: Any) -> None:
        """Record."""
        self.events.append(("on_hyperparam_update", arguments))

    def on_run_end(self, *arguments: Any) -> None:
        """Record."""
        self.events.append(("on_run_end", arguments))
