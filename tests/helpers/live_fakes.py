"""Feeds, agents and policies for the tests of the live pipeline: NumPy only, no sleeping."""

import threading
import time

import numpy as np

FOREIGN_REWARD = 999.0


class EchoFeed:
    """Episodes of given lengths; each reward is the action that the feed received for it.

    Observations count up without ever repeating, so a step's place in the feed can be read off it.
    A reward that belongs to no action is FOREIGN_REWARD.
    """

    def __init__(self, episode_lengths=None, *, endless_episode=False, by_method=False, limit=None):
        self.episode_lengths = list(episode_lengths or [])
        self.endless = endless_episode
        self.opened = 0
        self.received = []
        self.yielded = 0
        self.limit = limit
        self.closed_generators = 0
        self._counter = 0
        if by_method:
            self.send_action = self._take

    def _take(self, action):
        self.received.append(action)

    def _observe(self):
        self._counter += 1
        self.yielded += 1
        return np.array([float(self._counter)])

    def stream(self):
        self.opened += 1
        try:
            if self.endless:
                yield from self._episode(None)
            for length in self.episode_lengths:
                yield from self._episode(length)
        finally:
            self.closed_generators += 1

    def _episode(self, length):
        action = yield self._observe(), FOREIGN_REWARD, False, False, {}
        step = 0
        while length is None or step < length:
            if self.limit is not None and self.yielded >= self.limit:
                return
            step += 1
            if hasattr(self, "send_action"):
                action = self.received[-1]
            else:
                self.received.append(action)
            reward, is_last = float(np.sum(action)), step == length
            # Two kinds of end in turn.
            action = yield (
                self._observe(),
                reward,
                is_last and length % 2 == 0,
                is_last and length % 2 == 1,
                {"n": step},
            )


class BlockingFeed:
    """Gives a few items, then blocks in a read until closed."""

    def __init__(self, items=3):
        self.items = items
        self.blocked = threading.Event()
        self._closed = threading.Event()
        self.close_calls = 0

    def stream(self):
        for index in range(self.items):
            yield [float(index)], 1.0, False, False, {}
        self.blocked.set()
        self._closed.wait(20)
        raise ConnectionError("closed under the reader")

    def close(self):
        self.close_calls += 1
        self._closed.set()


class FrozenPolicy:
    """Acts by a formula on the observation, and says which version it is."""

    def __init__(self, version):
        self.version = version

    def act(self, observation, *, greedy=False):
        return 1000 * self.version + int(np.asarray(observation).ravel()[0]) % 1000

    def act_batch(self, observations, *, greedy=False):
        return np.array([self.act(observation) for observation in observations])


class TellingPolicy(FrozenPolicy):
    """Also tells the log-probability of what it did."""

    def act_with_log_prob(self, observation):
        return self.act(observation), -0.5 - self.version


class PolicyAgent:
    """Gives frozen policies; ``learn`` makes the next version."""

    kind = FrozenPolicy

    def __init__(self):
        self.version = 0

    def policy(self):
        return self.kind(self.version)

    def act(self, observation):
        raise AssertionError("the frozen copy should act")

    def learn(self, window):
        self.version += 1
        return {}


class TellingAgent(PolicyAgent):
    kind = TellingPolicy


class SixMethodAgent:
    """Has no policy() to give; notices when it is asked to act while it learns."""

    def __init__(self):
        self.is_learning = False
        self.acted_while_learning = 0
        self.acts = 0

    def act(self, observation):
        self.acts += 1
        self.acted_while_learning += self.is_learning
        return int(np.asarray(observation).ravel()[0])


class FlakyFeed(EchoFeed):
    """Breaks off after so many items of each stream, as told."""

    def __init__(self, breaks_after, error=None, then_ends=True):
        super().__init__(endless_episode=True)
        self.breaks_after = list(breaks_after)
        self.error = error
        self.then_ends = then_ends

    def stream(self):
        self.opened += 1
        inner = self._episode(None)
        answer = None
        for _ in range(self.breaks_after[min(self.opened, len(self.breaks_after)) - 1]):
            answer = yield inner.send(answer)
        if self.error is not None:
            raise self.error


def take(pipeline, number):
    """Return the first windows of a pipeline."""
    windows = []
    for window in pipeline.episodes():
        windows.append(window)
        if len(windows) == number:
            break
    return windows


def concatenated(windows, name):
    return np.concatenate([getattr(window, name) for window in windows])


def feed_threads():
    """Return the threads that follow a feed."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("tensor-optix-feed")]


def wait_until(condition, seconds=10.0):
    """Poll a condition that another thread brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


def assert_nothing_learned_across_gaps(window):
    """Each step's successor is the next step's observation, wherever no end is told."""
    going_on = ~window.dones[:-1]
    np.testing.assert_array_equal(window.next_observations[:-1][going_on], window.observations[1:][going_on])
    np.testing.assert_array_equal(window.next_observations[:, 0], window.observations[:, 0] + 1)
