"""What greedy episodes cost."""

import numpy as np

from tensor_optix.core.judgement.arena import Arena, Player
from tensor_optix.core.protocols import completed
from tensor_optix.core.types import EvaluationResult
from tensor_optix.testing.fakes import StatefulAgent


def test_environments_that_wait_are_paid_for_beforehand():
    def play(act, num_episodes, *, seed):  # of 8 environments, 5 play and 3 wait
        lengths = np.full(num_episodes, 100)
        return EvaluationResult(0.0, (0.0, 0.0), np.zeros(num_episodes), lengths, env_steps=8 * 100)

    player = completed(play, Player)
    arena = Arena(StatefulAgent(), player, seed=0)
    assert arena.play(5, seed=1).env_steps == 800
    assert arena.steps_for_pairs(5) == 2 * 800
    assert arena.num_pairs(2 * 800) == 5
    resumed = Arena(StatefulAgent(), player, seed=0)
    resumed.load_state_dict(arena.state_dict())
    assert resumed.steps_for_pairs(5) == 2 * 800


def test_a_run_of_before_goes_on_without_the_range_of_its_returns() -> None:
    """Runs that were saved before returns had a range know none when they are resumed."""
    arena = Arena(StatefulAgent(), completed(lambda *_, **__: None, Player), seed=3)
    state = {name: value for name, value in arena.state_dict().items() if name not in ("lowest", "highest")}
    arena.load_state_dict(state)
    assert arena.return_range is None
