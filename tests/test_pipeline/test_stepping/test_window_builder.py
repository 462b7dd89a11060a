"""One window: its arrays, its ends, and the episodes in it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.exceptions import NonFiniteError
from tensor_optix.pipeline.stepping.env_guard import EnvGuard
from tensor_optix.pipeline.stepping.space_layout import Layout
from tensor_optix.pipeline.stepping.window_builder import BadStepError, EpisodeReturns, WindowBuilder

OBSERVATION = Layout.of(np.zeros(1))
ACTION = Layout.of(0.0)
NOTHING = np.zeros(0)


class Env:
    spec = None

    def step(self, action: Any) -> None: ...


def guarded(num_steps: int) -> EnvGuard:
    guard = EnvGuard(Env())
    guard.steps_taken = num_steps
    return guard


def filled(num_steps: int, batch: tuple[int, ...] = (), *, dones: Any = (), until: int | None = None) -> WindowBuilder:
    """Return a window whose observation t is t, its rewards 1, terminated where ``dones`` says so."""
    window = WindowBuilder(OBSERVATION, num_steps, batch)
    act = window.open_actions(ACTION)
    window.put_observation(0, np.zeros((*batch, 1)))
    for t in range(num_steps if until is None else until):
        act(t, np.full(batch, float(t)))
        window.rewards[t] = 1.0
        window.put_observation(t + 1, np.full((*batch, 1), t + 1.0))
        window.infos.append({})
    for at in dones:
        window.terminated[at] = True
    return window


def built(window: WindowBuilder) -> Any:
    return window.build(0, NOTHING, NOTHING, {})


def test_successors_are_the_next_observations_but_where_a_reset_hid_them() -> None:
    window = filled(4, dones=[1])
    window.keep_successor(1, np.array([77.0]))
    data = built(window)
    assert data.observations[:, 0].tolist() == [0, 1, 2, 3]
    assert data.next_observations[:, 0].tolist() == [1, 77, 3, 4]


def test_a_successor_that_was_kept_is_a_copy() -> None:
    window, buffer = filled(2), np.array([5.0])
    window.keep_successor(0, buffer)
    buffer[:] = -1.0
    assert built(window).next_observations[0, 0] == 5.0


def test_cut_truncates_what_runs_and_leaves_what_ended() -> None:
    window = filled(3, (2,), dones=[(2, 0)])
    window.cut()
    assert window.terminated[2].tolist() == [True, False]
    assert window.truncated[2].tolist() == [False, True]
    assert not window.truncated[:2].any()


def test_steps_that_only_reset_are_marked_and_worth_nothing() -> None:
    window = filled(4, (2,), dones=[(1, 0), (2, 0)])
    window.note_ended(np.array([False, True]))
    window.mask_resets()
    assert window.valid is not None
    assert window.valid.T.tolist() == [[True, True, False, False], [False, True, True, True]]
    assert window.rewards.T.tolist() == [[1, 1, 0, 0], [0, 1, 1, 1]]
    assert window.terminated.T.tolist() == [[False, True, False, False], [False] * 4]


@pytest.mark.parametrize("batch", [(), (2,)])
def test_another_environment_takes_over_after_the_good_steps(batch: tuple[int, ...]) -> None:
    window = filled(4, batch, until=3)
    window.begin_anew(2)
    assert window.num_taken == 2
    window.put_observation(2, np.full((*batch, 1), 50.0))  # what the other one shows first
    for t in (2, 3):
        window.rewards[t] = 1.0
        window.put_observation(t + 1, np.full((*batch, 1), 51.0 + t))
        window.infos.append({})
    window.cut_at_restarts()
    data = built(window)
    first = data.next_observations.reshape(4, -1)[:, 0]
    assert first.tolist() == [1, 2, 53, 54]  # the cut step bootstraps from where it led, not from the other's first
    assert data.truncated.reshape(4, -1)[:, 0].tolist() == [False, True, False, False]
    assert window.restarts == [2]


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("rewards", BadStepError, "returned a reward that is NaN or infinite at step 102"),
        ("observation", BadStepError, "returned an observation that is NaN or infinite at step 101"),
        ("action", NonFiniteError, r"The agent gave environment Env an action.*at step 102"),
        ("successor", BadStepError, "an observation that is NaN or infinite at step 103, where an episode ended"),
    ],
)
def test_what_is_no_number_is_found_with_its_step(where: str, error: type[Exception], message: str) -> None:
    window = filled(4)
    window.check_finite(guarded(104))
    if where == "rewards":
        window.rewards[1] = np.nan
    elif where == "observation":
        window.put_observation(1, np.array([np.inf]))  # which step 0 led to
    elif where == "action":
        window.open_actions(ACTION)(1, np.nan)
    else:
        window.keep_successor(2, np.array([np.nan]))
    with pytest.raises(error, match=message):
        window.check_finite(guarded(104))


def test_the_sub_environment_is_named_and_how_many_steps_were_good() -> None:
    window = filled(3, (2,))
    window.rewards[2, 1] = np.inf
    with pytest.raises(BadStepError, match="at step 3, environment 1 of 2") as raised:
        window.check_finite(guarded(3))
    assert raised.value.num_good == 2


steps = st.lists(st.tuples(st.floats(-10, 10), st.booleans()), min_size=1, max_size=30)


@given(episodes=st.lists(steps, min_size=1, max_size=3), cuts=st.sets(st.integers(1, 29)))
def test_returns_do_not_depend_on_where_windows_were_cut(
    episodes: list[list[tuple[float, bool]]], cuts: set[int]
) -> None:
    num_steps = min(len(env) for env in episodes)
    rewards = np.array([[reward for reward, _ in env[:num_steps]] for env in episodes]).T
    dones = np.array([[done for _, done in env[:num_steps]] for env in episodes]).T
    told = EpisodeReturns(len(episodes))
    edges = [0, *sorted(cut for cut in cuts if cut < num_steps), num_steps]
    parts = [told.update(rewards[a:b], dones[a:b], None) for a, b in itertools.pairwise(edges)]
    expected = []
    for t in range(num_steps):
        for n in range(len(episodes)):
            if dones[t, n]:
                before = np.flatnonzero(dones[:t, n])
                start = before[-1] + 1 if len(before) else 0
                total = 0.0
                for reward in rewards[start : t + 1, n]:
                    total += reward
                expected.append((total, t + 1 - start))
    assert [x for returns, _ in parts for x in returns] == [total for total, _ in expected]
    assert [x for _, lengths in parts for x in lengths] == [length for _, length in expected]


def test_steps_that_only_reset_have_no_length() -> None:
    valid = np.array([[True], [True], [False], [True]])
    dones = np.array([[False], [True], [False], [True]])
    returns, lengths = EpisodeReturns().update(np.array([[1.0], [1.0], [0.0], [5.0]]), dones, valid)
    assert (returns.tolist(), lengths.tolist()) == ([2.0, 5.0], [2, 1])


def test_an_episode_that_was_given_up_is_not_counted() -> None:
    returns_of = EpisodeReturns()
    returns_of.update(np.ones((3, 1)), np.zeros((3, 1), bool), None)
    returns_of.forget()
    returns, lengths = returns_of.update(np.ones((2, 1)), np.array([[False], [True]]), None)
    assert (returns.tolist(), lengths.tolist()) == ([2.0], [2])


def test_what_ran_when_another_environment_took_over_is_not_counted() -> None:
    window = filled(5, dones=[0, 4])
    window.restarts = [2]
    returns, lengths = EpisodeReturns().update_window(window)
    assert (returns.tolist(), lengths.tolist()) == ([1.0, 3.0], [1, 3])
