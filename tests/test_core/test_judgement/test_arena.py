"""What greedy episodes cost."""

import numpy as np
import pytest

from tensor_optix.core.judgement.arena import Arena, Player
from tensor_optix.core.protocols import completed
from tensor_optix.core.types import EpisodeData, EvaluationResult
from tensor_optix.testing.fakes import StatefulAgent


def test_environments_that_wait_are_paid_for_beforehand():
    def play(act, num_episodes, *, seed):  # of 8 environments, 5 play and 3 wait
        lengths = np.full(num_episodes, 100)
        return EvaluationResult(0.0, (0.0, 0.0), np.zeros(num_episodes), lengths, env_steps=8 * 100)

    player = completed(play, Player)
    arena = Arena(StatefulAgent(), player, seed=0)
    assert arena.play(5, seed=1).env_steps == 800
    assert arena.steps_for_one == 800 / 5
    resumed = Arena(StatefulAgent(), player, seed=0)
    resumed.load_state_dict(arena.state_dict())
    assert resumed.steps_for_one == 800 / 5


def test_a_run_of_before_goes_on_without_the_range_of_its_returns() -> None:
    """Runs that were saved before returns had a range know none when they are resumed."""
    arena = Arena(StatefulAgent(), completed(lambda *_, **__: None, Player), seed=3)
    new = ("lowest", "highest", "recent_lengths", "greedy_lengths", "cut_at", "num_cut")
    arena.load_state_dict({name: value for name, value in arena.state_dict().items() if name not in new})
    assert arena.return_range is None
    assert arena.longest_steps == 1_000


def window_of(lengths):
    flags = np.zeros(1, bool)
    return EpisodeData([[0.0]], [0], [0.0], flags, flags, [{}], 0, completed_lengths=np.array(lengths))


def test_episodes_are_as_long_as_the_longest_lately() -> None:
    def play(act, num_episodes, *, seed):
        return EvaluationResult(0.0, (0.0, 0.0), np.zeros(num_episodes), np.full(num_episodes, 70), env_steps=70)

    arena = Arena(StatefulAgent(), completed(play, Player), seed=0)
    arena.note_episodes(window_of([3000]))
    assert arena.longest_steps == 3000
    arena.note_episodes(window_of([20] * 100))
    assert arena.longest_steps == 20
    arena.play(5, seed=1)
    assert arena.longest_steps == 70


class Walks(Player):
    """Steps an environment that never ends, one or three at a time."""

    def __init__(self, num_envs):
        self.num_envs, self.steps, self.limit = num_envs, 0, None

    def __call__(self, act, num_episodes, *, seed):
        self.limit = act.max_episode_steps
        batch = getattr(act, "batch", None)
        while True:
            batch({"a": np.zeros((self.num_envs, 1))}) if self.num_envs > 1 else act(np.zeros(1))
            self.steps += self.num_envs


class Batched(StatefulAgent):
    def policy(self):
        class Frozen:
            version = 0

            def act_batch(self, observations, *, greedy=False):
                return np.zeros(3)

        return Frozen()


@pytest.mark.parametrize("num_envs", [1, 3])
def test_no_more_steps_are_taken_than_were_allowed_and_all_are_told(num_envs) -> None:
    player = Walks(num_envs)
    arena = Arena(Batched(), player, seed=0)
    arena.note_episodes(window_of([50]))
    assert arena.play(5, seed=1, most_steps=100) is None
    assert arena.steps_taken == player.steps == 100 // num_envs * num_envs
    assert arena.longest_steps == 100, "what is broken off is reckoned to be twice as long next time"
    assert arena.is_possible


@pytest.mark.parametrize(
    ("lengths", "cut_at"),
    [([9000] * 19, 1000), ([10] * 80, 1000), ([600] * 50, 2000), ([1500] * 50, 4000), ([9000] * 50, 10_000)],
)
def test_where_no_limit_is_known_an_episode_is_cut_at_what_training_shows_to_be_long(lengths, cut_at) -> None:
    player = Walks(1)
    arena = Arena(StatefulAgent(), player, seed=0)
    arena.note_episodes(window_of(lengths))
    arena.play(1, seed=1, most_steps=10)
    assert player.limit == cut_at
    arena.note_episodes(window_of([10] * 100))
    arena.play(1, seed=1, most_steps=10)
    assert player.limit == cut_at, "returns are held against earlier ones, so it never falls"
