"""What greedy episodes may cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tensor_optix.core.budget import Ledger
from tensor_optix.core.judgement.arena import Arena

SHARE = 0.1
"""Largest share of the steps of training that choosing a champion may take, and finding causes again as many: prices,
chosen and not measured."""

FIRST_ROUND_SHARE = 0.2
"""The same of a run's first round of choosing, where it is the last choice, too: so a short run, too, hands back a
champion that has played."""

LEAST_TRAINED_STEPS = 1_000
"""The last choice of a run that trained with less may take as much as if these had been trained."""

FREE_DIAGNOSIS_EPISODES = 10
"""Pairs of a run's first diagnosis that need no share: fewer tell too little."""


@dataclass(eq=False)
class Purse:
    """Tells what episodes cost, and what there is to pay for them: a share of what was trained, within the budget.

    Args:
        arena: Knows how long episodes are.
        ledger: Knows what was used.
        played_together: Environments that are stepped together while episodes are played.
    """

    arena: Arena
    ledger: Ledger
    played_together: int = 1

    def price(self, num_pairs: int) -> int:
        """Return the env steps of so many episodes of each of two policies, all as long as the longest lately."""
        return 2 * self.price_of_one(num_pairs)

    def price_of_one(self, num_episodes: int) -> int:
        """Return the same of one policy's episodes."""
        together = self.played_together
        if together == 1:
            return math.ceil(num_episodes * self.arena.steps_for_one)
        num_rounds = -(-num_episodes // together)  # the last one steps those, too, that have played their share
        resets = max(num_rounds - 1, 0)  # a step between two episodes may only reset
        return math.ceil(together * (num_rounds * self.arena.longest_steps + resets))

    def most_episodes(self, env_steps: float) -> int:
        """Return how many episodes of one policy so many steps pay for."""
        together = self.played_together
        steps = env_steps if together == 1 else env_steps + together
        return max(0, int(steps // (self.price_of_one(together) + (together if together > 1 else 0)))) * together

    def pays(self, env_steps: int, share_left: float) -> bool:
        """Tell whether share and budget pay for so many steps; if only the budget does not, it has decided that."""
        return share_left >= env_steps and self.ledger.affords(env_steps)

    def left(self, use: str, share: float = SHARE) -> float:
        """Return what of its share a use has not taken yet."""
        return share * self.ledger.steps["training"] - self.ledger.steps[use]

    def for_challenge(self) -> Callable[[int], float]:
        """Return what tells, for a number of pairs, what a challenge has left for them."""
        return lambda num_pairs: self.left("evaluation")

    def for_last_choice(self, round_episodes: int) -> Callable[[int], float]:
        """Return the same for a run's last choice; its first round may be dearer where it is the first of all."""
        steps, is_first = self.ledger.steps, not self.ledger.steps["evaluation"]
        trained = max(steps["training"], LEAST_TRAINED_STEPS)
        return lambda num_pairs: (
            (FIRST_ROUND_SHARE if is_first and num_pairs <= round_episodes else SHARE) * trained - steps["evaluation"]
        )

    def for_diagnosis(self) -> Callable[[int], float]:
        """Return the same for a diagnosis."""
        num_free = FREE_DIAGNOSIS_EPISODES if not self.ledger.steps["diagnosis"] else 0
        return lambda num_pairs: math.inf if num_pairs <= num_free else self.left("diagnosis")

    def kept_for_choosing(self, round_episodes: int, most_rounds: int) -> int:
        """Return the env steps that a last choice of a champion is to have: of whole rounds, or none.

        No more than half of what is between the choice before, or the beginning, and the end of the budget.
        """
        left, steps = self.ledger.steps_left, self.ledger.steps
        if left is None:
            return 0
        price, total = self.price(round_episodes), steps["training"] + left
        half = (left + self.ledger.trained_since_choice) / 2
        paid_for = (SHARE * total - steps["evaluation"]) / (1 + SHARE)
        num_rounds = min(most_rounds, int(max(0.0, min(half, paid_for)) // price))
        may_be_first = not steps["evaluation"] and price <= min(half, FIRST_ROUND_SHARE * (total - price))
        return price * (num_rounds or int(may_be_first))
