"""Masks of a live feed reach who acts, and the window."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from harness.masked_envs import SPACES, OnlyAllowed

from tensor_optix import LivePipeline
from tensor_optix.exceptions import InvalidArgumentError, StreamError
from tensor_optix.testing.fakes import StatefulAgent


class Feed:
    def __init__(self, told: str | None, spoilt_at: int | None = None, says_space: bool = True) -> None:
        self.env = OnlyAllowed(SPACES["discrete"], told)
        self.spoilt_at = spoilt_at
        if says_space:
            self.action_space = self.env.action_space
            self.observation_space = self.env.observation_space

    def stream(self) -> Any:
        for _ in range(3):
            observation, info = self.env.reset(seed=0)
            action = yield observation, 0.0, False, False, info
            over = False
            while not over:
                observation, reward, terminated, truncated, info = self.env.step(action)
                if self.env.num_taken == self.spoilt_at:
                    info["action_mask"] = np.zeros(5)
                over = terminated or truncated
                action = yield observation, reward, terminated, truncated, info


class First(StatefulAgent):
    uses_action_masks = True

    def act(self, observation: Any, *, action_mask: Any = None) -> int:
        return 3 + int(np.flatnonzero(action_mask)[0])


def pipeline_of(feed: Feed, agent: Any = None, **settings: Any) -> LivePipeline:
    return LivePipeline(feed, agent or First(), reconnect_on_disconnect=False, **settings)


@contextlib.contextmanager
def torn_down(pipeline: LivePipeline) -> Iterator[LivePipeline]:
    try:
        yield pipeline
    finally:
        pipeline.teardown()


@pytest.mark.parametrize("told", ["info", "asked"])
@pytest.mark.parametrize("says_space", [True, False])
def test_masks_of_a_feed_are_handed_on(told: str, says_space: bool) -> None:
    settings: dict[str, Any] = {"action_mask": lambda observation, info: observation > 0} if told == "asked" else {}
    feed = Feed(None if settings else "info", says_space=says_space)
    with torn_down(pipeline_of(feed, **settings)) as pipeline:
        windows = list(pipeline.episodes())
    assert [len(window.rewards) for window in windows] == [7, 7, 7]
    for window in windows:
        np.testing.assert_array_equal(window.action_masks, window.observations > 0)
        goes_on = ~window.terminated
        np.testing.assert_array_equal(window.next_action_masks[goes_on], window.next_observations[goes_on] > 0)


def test_a_mask_that_cannot_be_used_is_named_or_left_out() -> None:
    pipeline = pipeline_of(Feed("info", spoilt_at=2))
    with (
        torn_down(pipeline),
        pytest.raises(StreamError, match=r"Step 2 of the feed.*allows none of 5 actions"),
    ):
        list(pipeline.episodes())
    skipping = pipeline_of(Feed("info", spoilt_at=2), on_bad_step="skip")
    with torn_down(skipping):
        assert sum(len(window.rewards) for window in skipping.episodes()) == 21 - 2
    assert skipping.skipped_steps == 1


def test_what_was_asked_for_needs_an_agent_that_can() -> None:
    with pytest.raises(InvalidArgumentError, match="takes no masks"):
        next(iter(pipeline_of(Feed(None), StatefulAgent(), action_mask=lambda o, i: o > 0).episodes()))
