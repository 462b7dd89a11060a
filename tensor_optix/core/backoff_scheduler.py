"""How often to act on what is seen, and when to rest."""

from __future__ import annotations

from tensor_optix.core.checks import check_int, check_is_number, check_number
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import LoopState
from tensor_optix.exceptions import InvalidArgumentError


class BackoffScheduler(Stateful):
    """Counts looks without improvement; intervals grow and states change with the count.

    A *look* is pooled evidence (several windows where episodes are long). The scheduler only
    counts: whether a look is an improvement is for the caller to say.

    Args:
        base_interval: Looks between two actions while ACTIVE.
        backoff_factor: What the interval is multiplied by at each look without improvement.
        max_interval_episodes: Largest interval.
        plateau_threshold: Looks in a row without improvement that make COOLING.
        dormant_threshold: Looks in a row without improvement that make DORMANT.
        degradation_threshold: Share of ``|best|`` used by :meth:`check_degradation`.

    Example:
        >>> scheduler = BackoffScheduler(plateau_threshold=1, dormant_threshold=2)
        >>> scheduler.record_non_improvement()
        >>> scheduler.current_state
        <LoopState.COOLING: 'cooling'>
    """

    _STATE = ("_state", "_interval", "_count", "_best")

    def __init__(
        self,
        base_interval: int = 1,
        backoff_factor: float = 2.0,
        max_interval_episodes: int = 100,
        plateau_threshold: int = 5,
        dormant_threshold: int = 20,
        degradation_threshold: float = 0.95,
    ) -> None:
        check_int("base_interval", base_interval, at_least=1)
        check_number("backoff_factor", backoff_factor, low=1.0)
        check_int("max_interval_episodes", max_interval_episodes, at_least=1)
        check_int("plateau_threshold", plateau_threshold, at_least=1)
        check_int("dormant_threshold", dormant_threshold, at_least=1)
        check_number("degradation_threshold", degradation_threshold, above=0.0, high=1.0)
        if max_interval_episodes < base_interval:
            raise InvalidArgumentError(
                f"`max_interval_episodes` must be at least `base_interval`. "
                f"Received: max_interval_episodes={max_interval_episodes}, base_interval={base_interval}."
            )
        if dormant_threshold < plateau_threshold:
            raise InvalidArgumentError(
                f"`dormant_threshold` must be at least `plateau_threshold`: COOLING comes before DORMANT. "
                f"Received: dormant_threshold={dormant_threshold}, plateau_threshold={plateau_threshold}."
            )
        self.base_interval = base_interval
        self.backoff_factor = backoff_factor
        self.max_interval_episodes = max_interval_episodes
        self.plateau_threshold = plateau_threshold
        self.dormant_threshold = dormant_threshold
        self.degradation_threshold = degradation_threshold
        self._state = LoopState.ACTIVE
        self._interval = base_interval
        self._count = 0
        self._best: float | None = None

    @property
    def current_state(self) -> LoopState:
        """The loop's state."""
        return self._state

    @property
    def current_interval(self) -> int:
        """Looks between two actions."""
        return self._interval

    @property
    def consecutive_non_improvements(self) -> int:
        """Looks in a row without improvement."""
        return self._count

    @property
    def is_frozen(self) -> bool:
        """Whether the policy is not to change: DORMANT or WATCHDOG."""
        return self._state in (LoopState.DORMANT, LoopState.WATCHDOG)

    @property
    def is_one_look_from_dormant(self) -> bool:
        """Whether one more look without improvement makes the state DORMANT."""
        return self._count + 1 >= self.dormant_threshold

    @property
    def best_score(self) -> float | None:
        """Highest score recorded as an improvement, None before the first."""
        return self._best

    def record_improvement(self, score: float) -> None:
        """Note a look that improved: the count starts again and the state is ACTIVE."""
        check_is_number("score", score)
        self._best = score if self._best is None else max(self._best, score)
        self._reactivate()

    def record_non_improvement(self) -> None:
        """Note a look that did not improve."""
        self._count += 1
        self._interval = min(int(self._interval * self.backoff_factor), self.max_interval_episodes)
        if self._count >= self.dormant_threshold:
            self._state = LoopState.DORMANT
        elif self._count >= self.plateau_threshold:
            self._state = LoopState.COOLING

    def record_degradation(self) -> None:
        """Note an alarm: the count starts again and the state is ACTIVE; the best stays."""
        self._reactivate()

    def record_watch(self) -> None:
        """Note that the policy is frozen from now on: the state is WATCHDOG."""
        self._state = LoopState.WATCHDOG

    def void_best(self) -> None:
        """Forget the best score: the world it was earned in is no more."""
        self._best = None

    def check_degradation(self, score: float) -> bool:
        """Tell whether ``score`` is below the best by more than its allowed share of ``|best|``.

        Records nothing. The loop does not decide by this formula alone: it knows no noise.
        """
        check_is_number("score", score)
        if self._best is None:
            return False
        return bool(score < self._best - abs(self._best) * (1.0 - self.degradation_threshold))

    def should_adapt(self, n: int) -> bool:
        """Tell whether an action is due at count ``n``."""
        check_int("n", n, at_least=0)
        return n == 0 or n % self._interval == 0

    def _reactivate(self) -> None:
        self._count = 0
        self._interval = self.base_interval
        self._state = LoopState.ACTIVE
