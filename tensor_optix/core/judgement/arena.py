"""Fresh, seeded, greedy episodes: where policies are compared and reported."""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.mask_layout import takes_masks
from tensor_optix.core.policy_actor import PolicyActor
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EpisodeData, EvaluationResult
from tensor_optix.exceptions import EpisodesCutError
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.functional.statistics import largest_share_unseen

_UNKNOWN_LENGTH_STEPS = 1_000  # limit of Gymnasium's longer environments
_CUT_AT_MOST_STEPS = 10_000  # as ``evaluate`` cuts
_FEWEST_LENGTHS = 20  # of training episodes that tell what is usual
_SETS_REMEMBERED = 4  # of greedy episodes: a challenger's and a champion's, twice
_BEYOND_NOISE = 1.64  # standard errors: one-sided 5 % of a normal distribution
_DECIDED = 3.5  # standard errors: further rounds would hardly turn the verdict (benchmarks/challenge_battery.py)
# Chosen with benchmarks/challenge_battery.py.
_RECENT_EPISODES = 100
TELLING_PAIRS = 20
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
        most_steps: After so many env steps the episodes are broken off, with ``EpisodesCutError``.

    Attributes:
        steps_taken: Env steps that were acted for so far.
        max_episode_steps: Where an episode is cut in an environment that is not known to have a time limit.
    """

    def __init__(
        self,
        agent: BaseAgent,
        give_way: Callable[[], None],
        most_steps: float = math.inf,
        max_episode_steps: int = _CUT_AT_MOST_STEPS,
    ) -> None:
        self._agent = agent
        self._give_way = give_way
        self._most_steps = most_steps
        self.steps_taken = 0
        self.max_episode_steps = max_episode_steps
        self._carrying = PolicyActor(agent.policy(), greedy=True) if agent.remembers else None

    def __call__(self, observation: Any, **beside: Any) -> Any:
        """Return the action for one observation, and what is handed beside it."""
        self._begin_step(1)
        if self._carrying is not None:  # what the agent remembers is of the episodes that it learns in
            return self._carrying(observation, **beside)
        return self._agent.act_greedy(observation, **beside)

    def begin_episodes(self, is_first: Any) -> None:
        """Tell whoever acts that episodes begin."""
        (self._agent if self._carrying is None else self._carrying).begin_episodes(is_first)

    @property
    def uses_action_masks(self) -> bool:
        """Whether the agent takes masks."""
        return takes_masks(self._agent)

    def _begin_step(self, num_envs: int) -> None:
        if self.steps_taken + num_envs > self._most_steps:
            raise EpisodesCutError
        self._give_way()
        self.steps_taken += num_envs

    @property
    def batch(self) -> Callable[[Any], Any] | None:
        """The same for the observations of many environments, where the agent has a policy."""
        try:
            policy = self._agent.policy()
        except NotImplementedError:
            return None

        actor = PolicyActor(policy, greedy=True)

        def act_batch(observations: Any, **beside: Any) -> Any:
            self._begin_step(_num_rows(observations))
            return actor.batch(observations, **beside)

        act_batch.uses_action_masks = actor.uses_action_masks  # type: ignore[attr-defined]
        act_batch.begin_episodes = actor.begin_episodes  # type: ignore[attr-defined]
        return act_batch


class GuestActor(GreedyActor):
    """The same of a policy that is none of the agent's.

    Args:
        act: Maps an observation to an action; ``act.batch``, where it has that, those of many environments.
        give_way: Called before each action.
        max_episode_steps: As above.
    """

    def __init__(self, act: Callable[..., Any], give_way: Callable[[], None], max_episode_steps: int) -> None:
        self._act = act
        self._give_way = give_way
        self._most_steps = math.inf
        self.steps_taken = 0
        self.max_episode_steps = max_episode_steps

    def __call__(self, observation: Any, **beside: Any) -> Any:
        """Return the action for one observation, and what is handed beside it."""
        self._begin_step(1)
        return self._act(observation, **beside)

    def begin_episodes(self, is_first: Any) -> None:
        """Tell a policy that remembers that episodes begin."""
        tell = getattr(self._act, "begin_episodes", None)
        if tell is not None:
            tell(is_first)

    @property
    def uses_action_masks(self) -> bool:
        """Whether the policy takes masks."""
        return takes_masks(self._act)

    @property
    def batch(self) -> Callable[..., Any] | None:
        """The same for many, where it acts on many."""
        own = getattr(self._act, "batch", None)
        if own is None:
            return None

        def act_batch(observations: Any, **beside: Any) -> Any:
            self._begin_step(_num_rows(observations))
            return own(observations, **beside)

        act_batch.uses_action_masks = self.uses_action_masks  # type: ignore[attr-defined]
        act_batch.begin_episodes = getattr(own, "begin_episodes", self.begin_episodes)  # type: ignore[attr-defined]
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
        *("_seed", "_num_sets", "_idle_factor", "is_possible"),
        *("_lowest", "_highest", "_recent_returns", "_recent_lengths", "_greedy_lengths"),
        *("_cut_at", "_num_cut"),
    )
    state_may_lack = (
        *("lowest", "highest", "recent_returns", "recent_lengths", "greedy_lengths", "cut_at", "num_cut"),
    )

    def __init__(self, agent: BaseAgent, play: Player, seed: int, give_way: Callable[[], None] = lambda: None) -> None:
        self._agent = agent
        self._play = play
        self._give_way = give_way
        self._seed = seed
        self._num_sets = 0
        self._lowest, self._highest = math.inf, -math.inf
        self._recent_returns: deque[float] = deque(maxlen=_RECENT_EPISODES)
        self._recent_lengths: deque[float] = deque(maxlen=_RECENT_EPISODES)
        self._greedy_lengths: deque[float] = deque(maxlen=_SETS_REMEMBERED)
        self._idle_factor = 1.0  # environments that wait for others are stepped, too
        self._cut_at = _UNKNOWN_LENGTH_STEPS
        self._num_cut = 0
        self.is_possible = True
        self.steps_taken = 0

    def next_seed(self, use: str) -> int:
        """Return a seed that no earlier episode had."""
        self._num_sets += 1
        return derive_seed(self._seed, use, self._num_sets)

    def play(self, num_episodes: int, seed: int, most_steps: float = math.inf) -> EvaluationResult | None:
        """Play the agent as it is now, greedily; :attr:`steps_taken` says at what price, in any case.

        Args:
            num_episodes: How many.
            seed: Source of their seeds.
            most_steps: Env steps that they may take.

        Returns:
            None where that is not possible, or was broken off: by Ctrl-C, or because it took too many steps.
        """
        actor = GreedyActor(self._agent, self._give_way, most_steps, self._cut_at)
        try:
            result = self._play(actor, num_episodes, seed=seed)
        except EpisodesCutError:
            self.steps_taken = actor.steps_taken
            self._greedy_lengths.append(2.0 * self.longest_steps)  # they were longer than any lately
            return None
        self.steps_taken = 0 if result is None else result.env_steps
        self.is_possible = result is not None
        if result is not None:
            self._num_cut += result.num_cut
            self._greedy_lengths.append(float(np.max(result.lengths)))
            self._note_returns(result.returns)
            self._idle_factor = max(1.0, result.env_steps / max(1.0, float(np.sum(result.lengths))))
        return result

    def play_guest(self, act: Callable[[Any], Any], num_episodes: int, seed: int) -> EvaluationResult | None:
        """Play a policy that is none of the agent's; nothing is learned of how long or good episodes are.

        Args:
            act: See :class:`GuestActor`.
            num_episodes: How many.
            seed: Source of their seeds.

        Returns:
            None where that is not possible, or was broken off by Ctrl-C.
        """
        try:
            return self._play(GuestActor(act, self._give_way, self._cut_at), num_episodes, seed=seed)
        except EpisodesCutError:
            return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know at the end of the environment in which episodes were played."""
        if not self._num_cut:
            return tuple(self._play.notes)
        return (
            *self._play.notes,
            f"{self._num_cut} greedy episodes were cut before they had ended, the latest at {self._cut_at:,} steps: "
            "the environment has no time limit that is known. Their returns are those of a part. To set one, wrap it "
            "in gymnasium.wrappers.TimeLimit.",
        )

    def note_episodes(self, window: EpisodeData) -> None:
        """Learn from a training window how long episodes are, and what returns there are."""
        if window.completed_lengths is not None and len(window.completed_lengths):
            self._recent_lengths.extend(np.asarray(window.completed_lengths, np.float64).tolist())
            self._raise_cut()
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

    def _raise_cut(self) -> None:
        """Cut greedy episodes at twice the length that training episodes usually have, and never sooner than before."""
        if len(self._recent_lengths) < _FEWEST_LENGTHS:
            return
        usual = statistics.median(self._recent_lengths)
        while self._cut_at < min(2.0 * usual, _CUT_AT_MOST_STEPS):
            self._cut_at = min(2 * self._cut_at, _CUT_AT_MOST_STEPS)

    @property
    def longest_steps(self) -> float:
        """Length of the longest of the latest episodes, of training and greedy ones; at least 1."""
        latest = [*self._recent_lengths, *self._greedy_lengths]
        return max(1.0, max(latest)) if latest else float(_UNKNOWN_LENGTH_STEPS)

    @property
    def steps_for_one(self) -> float:
        """Env steps of an episode of that length, with those in which other environments waited for its end."""
        return self.longest_steps * self._idle_factor


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
    return np.size(challenger) >= TELLING_PAIRS or _outweighs_unseen(mean, challenger, lowest)


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


def _num_rows(observations: Any) -> int:
    """Return of how many environments there are observations: arrays, or dicts or tuples of them."""
    while isinstance(observations, (Mapping, tuple)):
        observations = next(iter(observations.values() if isinstance(observations, Mapping) else observations))
    return len(observations)


def _paired_difference(challenger: npt.ArrayLike, champion: npt.ArrayLike) -> tuple[float, float]:
    difference = np.asarray(challenger, np.float64) - np.asarray(champion, np.float64)
    spread = float(np.std(difference, ddof=1)) if len(difference) > 1 else 0.0
    return float(np.mean(difference)), spread / math.sqrt(len(difference))
