"""Fresh, seeded, greedy episodes: where policies are compared and reported."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EpisodeData, EvaluationResult
from tensor_optix.exceptions import EpisodesCutError
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.functional.statistics import largest_share_unseen

EVALUATION_SHARE = 0.1
"""Largest share of the environment steps that choosing a champion may take: a price, chosen and not measured."""

_MIN_EPISODES = 5  # all of fewer pairs may go one way by chance: 1 / 2^4 is more than 5 %
_MAX_EPISODES = 20  # a choice; what it costs and brings: docs/judgement.md
_UNKNOWN_LENGTH_STEPS = 1_000  # limit of Gymnasium's longer environments
_BEYOND_NOISE = 1.64  # standard errors: one-sided 5 % of a normal distribution
_DECIDED = 3.5  # standard errors: further rounds would hardly turn the verdict (benchmarks/challenge_battery.py)
# Chosen with benchmarks/challenge_battery.py.
_RECENT_EPISODES = 100
_TELLING_PAIRS = 15
_UNSEEN_ERROR = 0.3
_GIVEN_UP_BELOW = ((15, 0.5), (10, 0.0), (0, -1.0))
"""Below so many standard errors, from so many pairs on."""


PlayFn = Callable[..., EvaluationResult | None]
"""``(act, num_episodes, *, seed)``: plays whole episodes; None where that is not possible."""


class Player(ABC):
    """Plays whole episodes, somewhere. A function that does will do, see ``completed``.

    Attributes:
        notes: What the user should know at the end of the environment in which they were played, in sentences.
    """

    notes: Sequence[str] = ()

    @abstractmethod
    def __call__(self, act: Callable[[Any], Any], num_episodes: int, *, seed: int) -> EvaluationResult | None:
        """Play ``num_episodes`` episodes whose seeds derive from ``seed``; return None where that is not possible."""


class GreedyActor:
    """The agent as a function from one observation to its best known action.

    Args:
        agent: Who acts.
        give_way: Called before each action.
    """

    def __init__(self, agent: BaseAgent, give_way: Callable[[], None]) -> None:
        self._agent = agent
        self._give_way = give_way

    def __call__(self, observation: Any) -> Any:
        """Return the action for one observation."""
        self._give_way()
        return self._agent.act_greedy(observation)

    @property
    def batch(self) -> Callable[[Any], Any] | None:
        """The same for the observations of many environments, where the agent has a policy."""
        try:
            policy = self._agent.policy()
        except NotImplementedError:
            return None

        def act_batch(observations: Any) -> Any:
            self._give_way()
            return policy.act_batch(observations, greedy=True)

        return act_batch


class Arena(Stateful):
    """Plays an agent's greedy episodes, each set of episodes on seeds of its own.

    Args:
        agent: Who plays.
        play: How; returns None where this is not possible.
        seed: Source of all episode seeds.
        give_way: Called before each action; default: nothing.
    """

    _STATE = (
        *("_seed", "_num_sets", "_length_steps", "_longest_steps", "_idle_factor", "is_possible"),
        *("_lowest", "_highest", "_recent_returns"),
    )
    state_may_lack = ("lowest", "highest", "recent_returns")

    def __init__(self, agent: BaseAgent, play: Player, seed: int, give_way: Callable[[], None] = lambda: None) -> None:
        self._agent = agent
        self._play = play
        self._give_way = give_way
        self._seed = seed
        self._num_sets = 0
        self._length_steps = math.nan
        self._longest_steps = 0.0
        self._lowest, self._highest = math.inf, -math.inf
        self._recent_returns: deque[float] = deque(maxlen=_RECENT_EPISODES)
        self._idle_factor = 1.0  # environments that wait for others are stepped, too
        self.is_possible = True

    def next_seed(self, use: str) -> int:
        """Return a seed that no earlier episode had."""
        self._num_sets += 1
        return derive_seed(self._seed, use, self._num_sets)

    def play(self, num_episodes: int, seed: int) -> EvaluationResult | None:
        """Play the agent as it is now, greedily; None where that is not possible, or was cut by Ctrl-C."""
        try:
            result = self._play(GreedyActor(self._agent, self._give_way), num_episodes, seed=seed)
        except EpisodesCutError:
            return None
        self.is_possible = result is not None
        if result is not None:
            self._note(result.lengths)
            self._note_returns(result.returns)
            self._idle_factor = max(1.0, result.env_steps / max(1.0, float(np.sum(result.lengths))))
        return result

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know at the end of the environment in which episodes were played."""
        return tuple(self._play.notes)

    def note_episodes(self, window: EpisodeData) -> None:
        """Learn from a training window how long episodes are, and what returns there are."""
        if window.completed_lengths is not None and len(window.completed_lengths):
            self._note(window.completed_lengths)
        if window.completed_returns is not None and len(window.completed_returns):
            returns = np.asarray(window.completed_returns, np.float64)
            self._note_returns(returns)
            self._recent_returns.extend(returns.tolist())

    @property
    def lowest_recent(self) -> float | None:
        """Lowest return of the latest training episodes: what a policy may fall to; None where none was told."""
        return min(self._recent_returns, default=None)

    @property
    def return_range(self) -> tuple[float, float] | None:
        """Lowest and highest return that were seen in the run, None before the first."""
        return (self._lowest, self._highest) if self._lowest <= self._highest else None

    def _note_returns(self, returns: npt.NDArray[np.float64]) -> None:
        self._lowest = min(self._lowest, float(np.min(returns)))
        self._highest = max(self._highest, float(np.max(returns)))

    def _note(self, lengths: npt.NDArray[np.int64]) -> None:
        self._length_steps = float(np.mean(lengths))
        self._longest_steps = max(self._longest_steps, float(np.max(lengths)))

    def affordable_episodes(self, training_steps: int, evaluation_steps: int) -> int:
        """Return how many paired episodes the evaluation share pays for; 0 if too few to tell."""
        count = min(self.num_pairs(EVALUATION_SHARE * training_steps - evaluation_steps), _MAX_EPISODES)
        return count if count >= _MIN_EPISODES else 0

    def num_pairs(self, env_steps: float) -> int:
        """Return how many episodes of each of two policies so many environment steps pay for."""
        return max(0, int(env_steps / self._steps_of_likely_pair))

    def steps_for_pairs(self, count: int) -> int:
        """Return how many environment steps ``count`` episodes of each of two policies are likely to take."""
        return math.ceil(count * self._steps_of_likely_pair)

    def most_steps_for_pairs(self, count: int) -> int:
        """Return how many they take if all of them are as long as the longest so far."""
        return math.ceil(count * self._steps_of_pair(self._longest_steps or _UNKNOWN_LENGTH_STEPS))

    @property
    def _steps_of_likely_pair(self) -> float:
        length = self._length_steps if math.isfinite(self._length_steps) else _UNKNOWN_LENGTH_STEPS
        return self._steps_of_pair(length)

    def _steps_of_pair(self, length: float) -> float:
        return 2.0 * max(length, 1.0) * self._idle_factor


def is_better_paired(challenger: npt.ArrayLike, champion: npt.ArrayLike, lowest: float | None = None) -> bool:
    """Tell whether the challenger is better beyond noise, over episodes with the same seeds.

    One-sided paired t-statistic above 1.64; without any spread the sign decides. A policy that fails now and then looks
    the better one until it fails: so in few pairs the lead must outweigh what may not have come yet.

    Args:
        challenger: Returns, ``[n]``.
        champion: Returns in the same episodes, ``[n]``.
        lowest: Lowest return that is to be reckoned with; None: not known, then few pairs show nothing.
    """
    mean, standard_error = _paired_difference(challenger, champion)
    if not mean > max(0.0, _BEYOND_NOISE * standard_error):
        return False
    return np.size(challenger) >= _TELLING_PAIRS or _outweighs_unseen(mean, challenger, lowest)


def is_decided_paired(challenger: npt.ArrayLike, champion: npt.ArrayLike, lowest: float | None = None) -> bool:
    """Tell whether more episodes would hardly change the verdict of :func:`is_better_paired`.

    A challenger that lies behind is given up soon, for nothing is lost where the champion stays; one that lies ahead
    wins soon only where what may not have come yet could not turn it.
    """
    mean, standard_error = _paired_difference(challenger, champion)
    least = next(least for num_pairs, least in _GIVEN_UP_BELOW if np.size(champion) >= num_pairs)
    if mean <= least * standard_error:
        return True
    return mean >= _DECIDED * standard_error and _outweighs_unseen(mean, challenger, lowest)


def _outweighs_unseen(mean: float, challenger: npt.ArrayLike, lowest: float | None) -> bool:
    """Tell whether the challenger is ahead even if as many of its episodes fail as may have failed to come.

    Args:
        mean: Of the differences.
        challenger: Its returns.
        lowest: What a failure is worth, if nothing worse was played; None: not known.
    """
    if lowest is None:
        return False
    returns = np.asarray(challenger, np.float64)
    fall = float(np.mean(returns)) - min(lowest, float(np.min(returns)))
    return mean > largest_share_unseen(len(returns), _UNSEEN_ERROR) * fall


def _paired_difference(challenger: npt.ArrayLike, champion: npt.ArrayLike) -> tuple[float, float]:
    difference = np.asarray(challenger, np.float64) - np.asarray(champion, np.float64)
    spread = float(np.std(difference, ddof=1)) if len(difference) > 1 else 0.0
    return float(np.mean(difference)), spread / math.sqrt(len(difference))
