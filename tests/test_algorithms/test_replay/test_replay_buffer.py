"""The replay buffer against a brute-force account of what happened in every environment."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.algorithms.replay.replay_buffer import ReplayBuffer, memory_bytes
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import InvalidArgumentError, NonFiniteError, StateMismatchError
from tensor_optix.pipeline.batch_pipeline import BatchPipeline

EXAMPLE = np.zeros(3, np.float64)


class World:
    """N environments whose observations say (env, episode, time), and the truth about every step."""

    def __init__(self, seed, num_envs, *, single=False, reset_steps=False):
        self.rng = np.random.default_rng(seed)
        self.num_envs, self.single, self.reset_steps = num_envs, single, reset_steps
        self.episode = np.arange(num_envs) * 1000
        self.time = np.zeros(num_envs, int)
        self.resets_next = np.zeros(num_envs, bool)
        self.truth = {}  # (env, episode, time) -> (action, reward, terminated, may go on)
        self.num_windows = 0
        self.last_learned = None

    def window(self, length, *, barrier=False, learned=True, fresh_start=False):
        if fresh_start:
            self._new_episodes(np.ones(self.num_envs, bool))
            self.resets_next[:] = False
        shape = (length, self.num_envs)
        seen, after = np.zeros((*shape, 3)), np.zeros((*shape, 3))
        actions, rewards = self.rng.integers(0, 100, shape), self.rng.normal(size=shape)
        terminated, truncated = self.rng.random(shape) < 0.1, self.rng.random(shape) < 0.1
        valid = np.ones(shape, bool)
        for t in range(length):
            seen[t] = np.stack([np.arange(self.num_envs), self.episode, self.time], axis=1)
            valid[t] = ~self.resets_next
            if barrier and t == length - 1:
                truncated[t] |= ~terminated[t]
            terminated[t] &= valid[t]
            truncated[t] &= valid[t]
            self.time += valid[t]
            after[t] = np.stack([np.arange(self.num_envs), self.episode, self.time], axis=1)
            ended = terminated[t] | truncated[t]
            if self.reset_steps:  # what ended starts anew one step later, on a step that only resets
                self._new_episodes(self.resets_next)
                self.resets_next = ended
            else:
                self._new_episodes(ended)
        if learned:
            self._remember(seen, actions, rewards, terminated, truncated, valid)
        squeeze = (lambda x: x[:, 0]) if self.single else (lambda x: x)
        self.num_windows += 1
        return EpisodeData(
            observations=squeeze(seen),
            actions=squeeze(actions),
            rewards=squeeze(np.where(valid, rewards, 0.0)),
            terminated=squeeze(terminated),
            truncated=squeeze(truncated),
            infos=[],
            episode_id=self.num_windows - 1,
            metadata={"barrier": barrier, "fresh_start": fresh_start},
            next_observations=squeeze(after),
            valid=squeeze(valid) if self.reset_steps else None,
        )

    def _new_episodes(self, which):
        self.episode = self.episode + which
        self.time = np.where(which, 0, self.time)

    def _remember(self, seen, actions, rewards, terminated, truncated, valid):
        for t, n in np.argwhere(valid):
            self.truth[tuple(seen[t, n])] = (actions[t, n], rewards[t, n], terminated[t, n], truncated[t, n])

    def transition(self, key, num_steps, gamma):
        """Return action, n-step return, discount and final observation of one step, the slow way."""
        env, episode, time = key
        action = self.truth[key][0]
        total, discount = 0.0, 1.0
        for k in range(num_steps):
            _, reward, terminated, truncated = self.truth[(env, episode, time + k)]
            total += discount * reward
            discount *= gamma
            if terminated:
                return action, total, 0.0, None
            if truncated or (env, episode, time + k + 1) not in self.truth:
                break
        return action, total, discount, (env, episode, time + k + 1)


def check_all(buffer, world, num_steps, gamma, draws=400):
    """Hold what is drawn against the truth and return the keys of the steps drawn."""
    batch = buffer.sample(draws, num_steps=num_steps, gamma=gamma)
    keys = [tuple(row) for row in batch.observations.tolist()]
    truth = {key: world.transition(key, num_steps, gamma) for key in set(keys)}
    actions, totals, discounts, successors = zip(*(truth[key] for key in keys), strict=True)
    np.testing.assert_array_equal(batch.actions, actions)
    np.testing.assert_allclose(batch.returns, totals, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(batch.discounts, discounts, rtol=1e-5)
    found = [tuple(row) if d else None for row, d in zip(batch.next_observations.tolist(), discounts, strict=True)]
    assert found == list(successors)
    return set(keys)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_transition_is_what_happened(data):
    num_envs = data.draw(st.integers(1, 3))
    single = num_envs == 1 and data.draw(st.booleans())
    world = World(data.draw(st.integers(0, 10**6)), num_envs, single=single, reset_steps=data.draw(st.booleans()))
    capacity = data.draw(st.sampled_from([90, 150, 1000]))
    num_steps, gamma = data.draw(st.integers(1, 5)), data.draw(st.sampled_from([0.5, 0.9, 1.0]))
    buffer = ReplayBuffer(capacity, EXAMPLE, np.int64(0), np.random.default_rng(0))
    plan = data.draw(st.lists(st.tuples(st.integers(1, 6), st.sampled_from("wwwwbs")), min_size=1, max_size=25))
    fresh_start, added, dropped = True, [], False
    for length, kind in plan:
        before = set(world.truth)
        learned = kind != "s"  # a window that the loop did not learn from
        window = world.window(length, barrier=kind == "b", learned=learned, fresh_start=fresh_start)
        fresh_start = kind == "b"
        if learned:
            new = [key for key in world.truth if key not in before]
            assert buffer.add(window) == len(new)
            added += new
        else:
            dropped = True
    if not added:
        return
    keys = check_all(buffer, world, num_steps, gamma)
    assert keys <= set(added)
    if capacity == 1000:
        assert len(buffer) == len(added)
    if not dropped:
        assert keys & set(added[-20:])
        assert len(buffer) >= min(len(added), capacity // 2 - num_envs)


def test_windows_of_one_step_hold_the_same_as_one_long_window():
    world = World(3, 2)
    long = world.window(50, fresh_start=True)
    buffers = [ReplayBuffer(200, EXAMPLE, np.int64(0), np.random.default_rng(1)) for _ in range(2)]
    buffers[0].add(long)
    names = ("observations", "actions", "rewards", "terminated", "truncated", "next_observations")
    for t in range(50):
        cut = {name: getattr(long, name)[t : t + 1] for name in names}
        buffers[1].add(dataclasses.replace(long, **cut, episode_id=t, metadata={}))
    assert len(buffers[0]) == len(buffers[1]) == 100
    for buffer in buffers:
        assert len(check_all(buffer, world, 4, 0.9, draws=2000)) == 100


@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode))
def test_every_autoreset_mode_gives_the_transitions_of_single_environments(mode):
    def collect(env):
        agent = type("Right", (), {"act": lambda self, o: 1, "act_batch": lambda self, o: np.ones(len(o), np.int64)})()
        pipeline = BatchPipeline(env, agent, window_size=60, seed=5)
        buffer = ReplayBuffer(1000, np.zeros(4, np.float32), np.int64(0), np.random.default_rng(0))
        windows = pipeline.episodes()
        for _ in range(2):
            buffer.add(next(windows))
        pipeline.teardown()
        batch = buffer.sample(4000, num_steps=3, gamma=0.9)
        rows = np.concatenate([batch.observations, batch.returns[:, None], batch.discounts[:, None]], axis=1)
        successors = np.where(batch.discounts[:, None] > 0, batch.next_observations, 0)
        return batch.observations, np.unique(np.concatenate([rows, successors], axis=1), axis=0)

    vector = gym.make_vec(
        "CartPole-v1", 2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, max_episode_steps=7
    )
    _, found = collect(vector)
    # Pushing right from near the middle: 7 steps are never enough to fall, so all episodes are truncated.
    assert (found[:, 5] > 0).all()
    by_sum = {tuple(np.round(row[:4], 6)): row for row in found}
    for row in found:
        returns, discount = row[4], row[5]
        k = round(np.log(discount) / np.log(0.9))
        np.testing.assert_allclose(returns, sum(0.9**i for i in range(k)), rtol=1e-5)
        # CartPole's own physics, one step after another, leads from the observation to the successor.
        env = gym.make("CartPole-v1").unwrapped
        env.reset()
        env.state = row[:4].astype(np.float64)
        for _ in range(k):
            reached = env.step(1)[0]
        np.testing.assert_allclose(reached, row[6:], rtol=1e-4, atol=1e-5)
    assert len(by_sum) == len(found)


def images(number, length=3):
    frames = (
        np.full((length + 1, 4, 4, 2), number % 256, np.uint8)
        + np.arange(length + 1, dtype=np.uint8)[:, None, None, None]
    )
    return EpisodeData(
        observations={"image": frames[:-1], "speed": np.full((length, 1), number, np.float32)},
        actions=np.zeros(length, np.int64),
        rewards=np.full(length, float(number)),
        terminated=np.zeros(length, bool),
        truncated=np.arange(length) == length - 1,
        infos=[],
        episode_id=number,
        next_observations={"speed": np.full((length, 1), number, np.float32), "image": frames[1:]},
    )


IMAGE_EXAMPLE = {"image": np.zeros((4, 4, 2), np.uint8), "speed": np.zeros(1, np.float32)}


def test_dtypes_and_nesting_stay_what_the_environment_gives():
    buffer = ReplayBuffer(100, IMAGE_EXAMPLE, np.int64(0), np.random.default_rng(0))
    buffer.add(images(7))
    batch = buffer.sample(50)
    assert batch.observations["image"].dtype == np.uint8
    assert batch.observations["speed"].dtype == np.float32
    assert set(np.unique(batch.observations["image"])) == {7, 8, 9}
    np.testing.assert_array_equal(batch.next_observations["image"], batch.observations["image"] + 1)
    tuples = ReplayBuffer(10, (np.zeros(2), np.int64(0)), np.int64(0), np.random.default_rng(0))
    rows = (np.ones((2, 2)), np.arange(2))
    tuples.add(dataclasses.replace(images(0, 2), observations=rows, next_observations=rows))
    assert isinstance(tuples.sample(3).observations, tuple)


@settings(max_examples=25, deadline=None)
@given(chunk_bytes=st.sampled_from([1, 100, 10**6]), num_windows=st.integers(1, 40), capacity=st.integers(8, 60))
def test_a_state_stays_what_it_was_while_the_ring_turns(chunk_bytes, num_windows, capacity):
    from tensor_optix.algorithms.replay import memory

    def make():
        buffer = ReplayBuffer(capacity, IMAGE_EXAMPLE, np.int64(0), np.random.default_rng(4), prioritised=True)
        buffer._observations = [
            memory.ChunkedArray(capacity, x.shape, x.dtype, chunk_bytes) for x in IMAGE_EXAMPLE.values()
        ]
        return buffer

    buffer = make()
    for number in range(num_windows):
        buffer.add(images(number))
        batch = buffer.sample(5, priority_exponent=0.6)
        buffer.update_priorities(batch.rows, np.arange(5.0))
    arrays, meta = buffer.state_dict()
    copies = {name: array.copy() for name, array in arrays.items()}
    draws = dict(num_steps=2, gamma=0.9, priority_exponent=0.6, importance_exponent=0.4)
    expected = [buffer.sample(20, **draws) for _ in range(3)]
    for number in range(num_windows, num_windows + 30):
        buffer.add(images(number))
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, copies[name])
    restored = make()
    restored.load_state_dict(arrays, meta)
    assert len(restored) <= capacity
    for batch in expected:
        other = restored.sample(20, **draws)
        for name in ("rows", "returns", "discounts", "weights"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(other, name))
        for name in IMAGE_EXAMPLE:
            np.testing.assert_array_equal(batch.observations[name], other.observations[name])
    for number in range(num_windows, num_windows + 30):
        restored.add(images(number))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(restored.state_dict()[0].values(), buffer.state_dict()[0].values(), strict=True)
    )
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, copies[name])


def test_only_filled_rows_are_saved_and_observations_are_not_copied():
    buffer = ReplayBuffer(10**6, IMAGE_EXAMPLE, np.int64(0), np.random.default_rng(0))
    buffer.add(images(1))
    arrays, _ = buffer.state_dict()
    assert sum(array.nbytes for array in arrays.values()) < 1000
    again, _ = buffer.state_dict()
    assert np.shares_memory(arrays["observations_0.0"], again["observations_0.0"])
    with pytest.raises(ValueError, match="read-only"):
        arrays["observations_0.0"][0] = 0


def test_memory_is_told_before_it_is_taken():
    atari = np.zeros((84, 84, 4), np.uint8)
    assert memory_bytes(10**6, atari, np.int64(0)) == 10**6 * (84 * 84 * 4 + 8 + 14)
    assert memory_bytes(8, np.float32(0), np.int64(0), prioritised=True) == 8 * (4 + 8 + 14) + 8 * 8 + 16 * 8
    buffer = ReplayBuffer(100, atari, np.int64(0), np.random.default_rng(0))
    assert buffer.memory_bytes == memory_bytes(100, atari, np.int64(0))


def test_uniform_draws_are_uniform_over_steps():
    buffer = ReplayBuffer(100, IMAGE_EXAMPLE, np.int64(0), np.random.default_rng(0))
    for number in range(5):
        buffer.add(images(number, length=1))
    counts = np.bincount(buffer.sample(50_000).observations["image"][:, 0, 0, 0], minlength=5)
    np.testing.assert_allclose(counts / 50_000, 0.2, atol=0.01)


def test_prioritised_draws_and_weights_follow_the_paper():
    buffer = ReplayBuffer(100, IMAGE_EXAMPLE, np.int64(0), np.random.default_rng(0), prioritised=True)
    for number in range(4):
        buffer.add(images(number, length=1))
    first = buffer.sample(40, priority_exponent=0.7, importance_exponent=1.0)
    np.testing.assert_array_equal(first.weights, 1.0)  # all are new: one priority
    which = {int(r): int(o) for r, o in zip(first.rows, first.observations["image"][:, 0, 0, 0], strict=True)}
    rows = np.array(sorted(which))
    errors = np.array([1.0, 2.0, 4.0, 8.0])
    buffer.update_priorities(rows, -errors)
    batch = buffer.sample(60_000, priority_exponent=0.7, importance_exponent=0.5)
    expected = errors**0.7 / (errors**0.7).sum()
    shares = np.array([(batch.rows == row).mean() for row in rows])
    np.testing.assert_allclose(shares, expected, atol=0.005)
    weights = (4 * expected) ** -0.5
    for row, weight in zip(rows, weights / weights.max(), strict=True):
        np.testing.assert_allclose(batch.weights[batch.rows == row], weight, rtol=1e-5)
    buffer.add(images(9, length=1))  # new steps come with the largest priority
    again = buffer.sample(60_000, priority_exponent=0.7)
    np.testing.assert_allclose(
        (again.observations["image"][:, 0, 0, 0] == 9).mean(), 8**0.7 / (8**0.7 + (errors**0.7).sum()), atol=0.005
    )
    uniform = buffer.sample(60_000, priority_exponent=0.0)
    np.testing.assert_allclose((uniform.observations["image"][:, 0, 0, 0] == 9).mean(), 0.2, atol=0.005)


def test_steps_without_a_known_successor_are_left_out():
    window = dataclasses.replace(images(1), next_observations=None)
    buffer = ReplayBuffer(10, IMAGE_EXAMPLE, np.int64(0), np.random.default_rng(0))
    assert buffer.add(window) == 2
    assert set(np.unique(buffer.sample(50).next_observations["image"])) == {2, 3}


@pytest.mark.parametrize(
    ("name", "what"), [("rewards", "reward"), ("observations", "observation"), ("actions", "action")]
)
def test_what_is_not_finite_never_gets_in(name, what):
    world = World(0, 1, single=True)
    window = world.window(5, fresh_start=True)
    values = np.array(getattr(window, name), np.float64)
    values[3] = np.inf
    setattr(window, name, values)
    buffer = ReplayBuffer(100, EXAMPLE, np.float64(0), np.random.default_rng(0))
    with pytest.raises(NonFiniteError, match=f"{what} is NaN or infinite, the first at step 3 of environment 0"):
        buffer.add(window)
    assert len(buffer) == 0


def test_successors_that_count_are_checked_too():
    window = World(0, 1, single=True).window(5, fresh_start=True)
    window.next_observations = window.next_observations.copy()
    window.next_observations[4, 1] = np.nan
    window.terminated[4] = False
    with pytest.raises(NonFiniteError, match="observation is NaN"):
        ReplayBuffer(100, EXAMPLE, np.int64(0), np.random.default_rng(0)).add(window)


def test_errors_say_what_to_do():
    with pytest.raises(InvalidArgumentError, match="`capacity` must be an integer >= 1"):
        ReplayBuffer(0, EXAMPLE, np.int64(0), np.random.default_rng(0))
    buffer = ReplayBuffer(5, EXAMPLE, np.int64(0), np.random.default_rng(0))
    with pytest.raises(InvalidArgumentError, match="holds no steps to draw from"):
        buffer.sample(1)
    with pytest.raises(InvalidArgumentError, match="A window of 9 steps needs"):
        buffer.add(World(0, 1).window(9, fresh_start=True))
    buffer.add(World(0, 1).window(2, fresh_start=True))
    with pytest.raises(InvalidArgumentError, match=r"keeps no priorities\. Make it with prioritised=True"):
        buffer.sample(1, priority_exponent=0.5)
    with pytest.raises(InvalidArgumentError, match="keeps no priorities"):
        buffer.update_priorities(np.zeros(1, int), np.zeros(1))
    other = ReplayBuffer(6, EXAMPLE, np.int64(0), np.random.default_rng(0))
    with pytest.raises(StateMismatchError, match="The saved replay does not fit: capacity 5"):
        other.load_state_dict(*buffer.state_dict())
    wider = ReplayBuffer(5, np.zeros(4), np.int64(0), np.random.default_rng(0))
    with pytest.raises(StateMismatchError, match="its observations come in pieces"):
        wider.load_state_dict(*buffer.state_dict())


def with_value(value):
    return lambda array: np.where(np.arange(array.size).reshape(array.shape) == 0, value, array).astype(array.dtype)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rewards", with_value(np.nan)),
        ("rewards", lambda array: array.astype(np.float16)),
        ("is_step", lambda array: array.astype(np.int64)),
        ("successors", with_value(-1)),
        ("successors", with_value(60)),
        ("tails", with_value(10**6)),
        ("tails", with_value(-2)),
        ("priorities", with_value(-1.0)),
        ("priorities", with_value(np.inf)),
        ("powers", with_value(np.nan)),
    ],
)
def test_arrays_that_no_buffer_can_hold_are_refused(name, change):
    world = World(0, 2)
    buffer = ReplayBuffer(60, EXAMPLE, np.int64(0), np.random.default_rng(0), prioritised=True)
    buffer.add(world.window(20))
    buffer.sample(4, priority_exponent=0.6)
    arrays, meta = buffer.state_dict()
    buffer.check_state(arrays, meta)
    with pytest.raises(StateMismatchError, match=name):
        buffer.check_state({**arrays, name: change(arrays[name])}, meta)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_written": -1},
        {"num_written": 2.5},
        {"last_window": "a"},
        {"generator": []},
        {"generator": {}},
        {"generator": {**np.random.default_rng(0).bit_generator.state, "bit_generator": "MT19937"}},
        {"priorities": None},
        *({"priorities": {"exponent": exponent, "largest": 1.0}} for exponent in ({}, -1.0, 2.0, np.nan)),
        *({"priorities": {"exponent": 0.6, "largest": largest}} for largest in (None, 0.0, np.inf, "a")),
    ],
)
def test_what_no_buffer_says_is_refused(changes):
    buffer = ReplayBuffer(60, EXAMPLE, np.int64(0), np.random.default_rng(0), prioritised=True)
    buffer.add(World(0, 2).window(20))
    arrays, meta = buffer.state_dict()
    with pytest.raises(StateMismatchError):
        buffer.check_state(arrays, {**meta, **changes})


def test_sums_stop_before_a_step_that_others_chose_in_a_window_and_across_two():
    buffer = ReplayBuffer(50, np.zeros(1, np.float32), np.int64(0), np.random.default_rng(0))
    by_others = {2, 5}
    for number, steps in enumerate((range(4), range(4, 5), range(5, 8))):
        at, zeros = np.array(steps), np.zeros(len(steps), bool)
        buffer.add(
            EpisodeData(
                at[:, None].astype(np.float32),
                at,
                10.0**at,
                zeros,
                zeros,
                [],
                number,
                next_observations=at[:, None].astype(np.float32) + 1,
                action_log_probs=np.array([np.nan if t in by_others else -1.0 for t in at]),
            )
        )
    batch = buffer.sample(400, num_steps=3, gamma=1.0)
    last = {0: 1, 1: 1, 2: 4, 3: 4, 4: 4, 5: 7, 6: 7, 7: 7}
    assert set(batch.actions.tolist()) == set(range(8)), "what others chose is learned from as what it was"
    for t, total, after in zip(batch.actions, batch.returns, batch.next_observations[:, 0], strict=True):
        assert total == sum(10.0**k for k in range(t, last[t] + 1))
        assert after == last[t] + 1
