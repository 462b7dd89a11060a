"""Which episodes a policy played, and what it reached in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Returns = npt.NDArray[np.float64]

# Chosen with the causes of benchmarks/judgement_causes.py.
MOST_EPISODES = 60
MOST_REPLAYED_AT_ONCE = 20


@dataclass(frozen=True)
class PlayedSet:
    """Episodes that can be played again.

    Attributes:
        seed: Source of their seeds.
        returns: What was reached, in the order of the episodes, ``[num_episodes]``.
    """

    seed: int
    returns: Returns

    @property
    def num_replayed(self) -> int:
        """How many of its first episodes are played again, should it come to that."""
        return min(len(self.returns), MOST_REPLAYED_AT_ONCE)


@dataclass
class TrackRecord:
    """The sets of episodes that one policy played: the newest that have 60 episodes between them.

    Where the very same episodes are played again, what they depend on besides the policy, such as
    the state an episode begins in, is the same, and a change of the world cannot hide behind it.
    """

    sets: list[PlayedSet] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(played.returns) for played in self.sets)

    @property
    def returns(self) -> Returns:
        """Every return, ``[num_episodes]``."""
        return np.concatenate([np.zeros(0), *(played.returns for played in self.sets)])

    @property
    def replayed_returns(self) -> Returns:
        """What was reached in the episodes of :meth:`rounds`, in that order."""
        return np.concatenate([np.zeros(0), *(played.returns[: played.num_replayed] for played in self.sets)])

    def rounds(self) -> Iterator[tuple[int, int]]:
        """Yield ``(seed, number of episodes)`` of what can be played again."""
        return ((played.seed, played.num_replayed) for played in self.sets)

    def add(self, seed: int, returns: Sequence[float] | Returns) -> None:
        """Add a set, and forget the oldest where the newer ones are enough."""
        self.sets.append(PlayedSet(seed, np.asarray(returns, np.float64)))
        while len(self) - len(self.sets[0].returns) >= MOST_EPISODES:
            self.sets.pop(0)

    def extend(self, later: TrackRecord) -> None:
        """Add what the same policy played later."""
        for played in later.sets:
            self.add(played.seed, played.returns)

    def state_dict(self) -> list[dict[str, Any]]:
        """Return a JSON-able copy."""
        return [{"seed": played.seed, "returns": played.returns.tolist()} for played in self.sets]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Become what :meth:`state_dict` returned."""
        self.sets = [PlayedSet(int(plain["seed"]), np.asarray(plain["returns"], np.float64)) for plain in state]
