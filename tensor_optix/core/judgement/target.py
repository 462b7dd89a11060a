"""The score that a user asked for, and whether fresh episodes reach it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tensor_optix.core.budget import Ledger
from tensor_optix.core.judgement.arena import Arena
from tensor_optix.core.judgement.challenges import Challenges
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.judgement.succession import Succession
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics
from tensor_optix.functional.statistics import largest_share_unseen, mean_interval

TARGET_EPISODES = 20
"""Of a look, which decides whether a claim is worth its episodes."""

# How often a target is claimed falsely with these: docs/judgement.md.
CLAIM_EPISODES, MOST_CLAIM_EPISODES = 100, 280
FALSE_CLAIMS = 0.04
"""Probability that a run ever says that it reached a target that it did not; at most 0.05 is promised."""

SHARE_BELOW_CEILING = 0.05
"""Where nothing better than the target can be reached, so many episodes may fall short of it."""


@dataclass(eq=False)
class Target(Stateful):
    """Lets the agent play for the target where its training scores make that worth while.

    Whoever looks again and again at few episodes claims falsely at some time. So looks only decide when to play for a
    *claim*: fresh episodes, the k-th time with an error of ``FALSE_CLAIMS / 2^k``; over a whole run, however
    long, these add up to no more than ``FALSE_CLAIMS``. After a look that fails, twice as many windows pass before the
    next. Both are booked as report, for they choose nothing. The target is reached if

    - the lower end of the interval of a claim's mean reaches it (``mean_interval``, with the range of returns
      seen in the run: what no episode of a claim did may still happen), or
    - no return of the run was ever above it, and every episode of the claim reached it: at that error, at most
      ``SHARE_BELOW_CEILING`` of all episodes fall short.

    Args:
        score: What is to be reached; None: nothing.
        ask: Asks for a free environment, by the name of what it is for.
        arena: Gives seeds.
        challenges: Plays.
        succession: Crowns who reached it.
        judge: Knows the level of the training scores.
        ledger: Counts windows: after each failure twice as many pass before the next attempt.
    """

    _STATE = ("_backoff_windows", "_next_window", "_num_claims")
    state_may_lack = ("num_claims",)

    score: float | None
    ask: Callable[[str], bool]
    arena: Arena
    challenges: Challenges
    succession: Succession
    judge: Judge
    ledger: Ledger
    _backoff_windows: int = field(default=1, init=False)
    _next_window: int = field(default=0, init=False)
    _num_claims: int = field(default=0, init=False)
    is_reached: bool = field(default=False, init=False)

    def ask_if_near(self) -> None:
        """Ask to play for it where the training scores are there."""
        if self.score is None or self.ledger.windows < self._next_window:
            return
        if self.judge.level >= self.score:
            self.ask("target")

    def play(self, metrics: EvalMetrics) -> None:
        """Play the agent as it is; crown it if it reaches the target."""
        look = self.challenges.play(TARGET_EPISODES, self.arena.next_seed("target"), "report")
        if look is not None and self.score is not None and look.interval[0] >= self.score:
            self.is_reached = self._claims(self.score, float(look.mean))
        if self.is_reached:
            self.succession.crown(self.succession.evidence_for(metrics))
            return
        self._backoff_windows *= 2
        self._next_window = self.ledger.windows + self._backoff_windows

    def _claims(self, score: float, likely_mean: float) -> bool:
        """Play for a claim, and tell whether it holds; its episodes say what was reached, so they count as report."""
        self._num_claims += 1
        error = FALSE_CLAIMS / 2**self._num_claims
        count = self._episodes_needed(score, likely_mean, error)
        played = self.challenges.play(count, self.arena.next_seed("claim"), "report")
        seen = self.arena.return_range
        if played is None or seen is None:
            return False
        if mean_interval(played.returns, 1.0 - error, value_range=seen)[0] >= score:
            return True
        is_at_ceiling = score >= seen[1]
        share_below = largest_share_unseen(played.num_episodes, error)
        return is_at_ceiling and share_below <= SHARE_BELOW_CEILING and bool(played.returns.min() >= score)

    def _episodes_needed(self, score: float, likely_mean: float, error: float) -> int:
        """Return how many episodes show that what none of them does is rare enough."""
        seen = self.arena.return_range
        if seen is None or seen[0] >= likely_mean:  # nothing worse was ever seen: how bad it may be is not known
            return MOST_CLAIM_EPISODES
        share = min(SHARE_BELOW_CEILING, (likely_mean - score) / (likely_mean - seen[0]) or SHARE_BELOW_CEILING)
        count = math.ceil(math.log(error) / math.log1p(-share))
        return min(max(CLAIM_EPISODES, count), MOST_CLAIM_EPISODES)
