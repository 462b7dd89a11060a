"""What goes wrong is named, and never becomes data."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from scripted_envs import ConstantAgent, CountingEnv, CountingVectorEnv, PolicyAgent, RandomLengthEnv

from tensor_optix.exceptions import (
    EnvironmentFailureError,
    InvalidArgumentError,
    InvalidTypeError,
    NonFiniteError,
    NotBoundError,
    UnsupportedSpaceError,
)
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.stepping.env_kinds import kind_of


class Broken(CountingEnv):
    """Does at step ``at`` what ``fault`` says, which gets and returns the step's five values."""

    def __init__(self, fault, at=7, length=500):
        super().__init__(length)
        self.fault, self.at, self.steps = fault, at, 0

    def step(self, action):
        self.steps += 1
        values = super().step(action)
        return self.fault(*values) if self.steps == self.at else values


def boom(*values):
    raise RuntimeError("boom")


def run(env, agent=None, window_size=5, windows=3):
    stream = BatchPipeline(env, agent or ConstantAgent(), window_size, seed=0).episodes()
    return [next(stream) for _ in range(windows)]


@pytest.mark.parametrize("vector", [False, True])
def test_a_raising_step_is_named(vector):
    env = SyncVectorEnv([lambda: Broken(boom)]) if vector else Broken(boom)
    with pytest.raises(EnvironmentFailureError, match=r"step 7 raised RuntimeError: boom \(the action was") as caught:
        run(env)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert ("SyncVectorEnv" if vector else "Broken") in str(caught.value)


def test_a_raising_step_yields_no_window():
    stream = BatchPipeline(Broken(boom), ConstantAgent(), 5, seed=0).episodes()
    assert next(stream).length == 5
    with pytest.raises(EnvironmentFailureError, match="boom"):
        next(stream)


def test_a_raising_reset_is_named():
    class NoReset(CountingEnv):
        def reset(self, *, seed=None, options=None):
            raise OSError("no display")

    with pytest.raises(EnvironmentFailureError, match=r"NoReset: reset\(\) raised after 0 steps: OSError: no display"):
        run(NoReset())


def test_a_reset_in_midstream_is_named():
    class Once(CountingEnv):
        def reset(self, *, seed=None, options=None):
            if seed is None:
                raise OSError("worn out")
            return super().reset(seed=seed)

    with pytest.raises(EnvironmentFailureError, match="raised after 3 steps: OSError: worn out"):
        run(Once(3))


def test_the_agents_own_errors_are_not_the_environments():
    def fail(observation):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(CountingEnv(), PolicyAgent(fail))


def test_a_policy_action_of_the_wrong_type_is_wrapped():
    env = gym.make("CartPole-v1")
    with pytest.raises(
        EnvironmentFailureError, match=r"CartPole-v1: step 1 raised AssertionError.*the action was 'left'"
    ):
        run(env, PolicyAgent(lambda observation: "left"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("vector", [False, True])
def test_rewards_that_are_no_numbers(bad, vector):
    def env():
        return Broken(lambda o, r, te, tr, i: (o, bad, te, tr, i))

    where = "step 7, environment 1 of 2" if vector else "step 7"
    with pytest.raises(EnvironmentFailureError, match=f"returned a reward that is NaN or infinite at {where}"):
        run(SyncVectorEnv([CountingEnv, env]) if vector else env(), ConstantAgent(2))


@pytest.mark.parametrize("vector", [False, True])
def test_observations_that_are_no_numbers(vector):
    def env():
        return Broken(lambda o, r, te, tr, i: (o * np.nan, r, te, tr, i))

    where = "step 7, environment 0 of 1" if vector else "step 7"
    with pytest.raises(EnvironmentFailureError, match=f"returned an observation that is NaN or infinite at {where}"):
        run(SyncVectorEnv([env]) if vector else env())


@pytest.mark.parametrize("mode", [None, *AutoresetMode])
def test_a_last_observation_that_is_no_number(mode):
    def env():
        return Broken(lambda o, r, te, tr, i: (o * np.nan, r, True, tr, i))

    with pytest.raises(EnvironmentFailureError, match="observation that is NaN or infinite at step 7"):
        run(env() if mode is None else SyncVectorEnv([env], autoreset_mode=mode))


def test_an_agent_that_chokes_on_nan_is_not_blamed():
    def act(observation):
        return int(observation[0]) % 2

    env = Broken(lambda o, r, te, tr, i: (o * np.nan, r, te, tr, i))
    with pytest.raises(EnvironmentFailureError, match="observation that is NaN or infinite at step 7") as caught:
        run(env, PolicyAgent(act))
    assert isinstance(caught.value.__context__, ValueError)


class Steering(gym.Env):
    """Takes any number, NaN too, and shows something else."""

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, False, False, {}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_an_action_that_is_no_number_is_named_though_the_environment_takes_it(num_envs, bad):
    class Wild:
        def __init__(self):
            self.count = 0

        def act(self, observation):
            return self.act_batch([observation])[0]

        def act_batch(self, observations):
            self.count += 1
            actions = np.zeros((len(observations), 1), np.float32)
            actions[-1] = bad if self.count == 8 else 0.0
            return actions

    env = Steering() if num_envs == 1 else SyncVectorEnv([Steering] * num_envs)
    where = "" if num_envs == 1 else f", environment {num_envs - 1} of {num_envs}"
    with pytest.raises(NonFiniteError, match=rf"an action that is NaN or infinite at step 8{where}\."):
        run(env, Wild())


@pytest.mark.parametrize("vector", [False, True])
def test_nan_in_played_episodes(vector):
    def env():
        return Broken(lambda o, r, te, tr, i: (o, np.nan, te, tr, i), length=10)

    pipeline = BatchPipeline(SyncVectorEnv([env] * 2) if vector else env(), seed=0)
    with pytest.raises(EnvironmentFailureError, match="a reward that is NaN or infinite in an episode"):
        pipeline.play_episodes(lambda observation: 0, 4, seed=0)


def test_the_legacy_done_api():
    env = Broken(lambda o, r, te, tr, i: (o, r, te, i))
    with pytest.raises(EnvironmentFailureError, match=r"step 7 returned 4 values.*`done` must be told apart"):
        run(env)


def test_a_step_that_returns_nothing():
    with pytest.raises(EnvironmentFailureError, match=r"step 7 returned None. Expected Gymnasium's five"):
        run(Broken(lambda *values: None))


def test_the_legacy_reset():
    class Legacy(CountingEnv):
        def reset(self, *, seed=None, options=None):
            return np.zeros(1)

    with pytest.raises(EnvironmentFailureError, match=r"reset\(\) must return \(observation, info\)"):
        run(Legacy())


@pytest.mark.parametrize("vector", [False, True])
def test_a_value_that_changes_its_shape(vector):
    env = Broken(lambda o, r, te, tr, i: (np.zeros(3), r, te, tr, i))
    if vector:
        env = CountingVectorEnv()
        step = env.step
        env.step = lambda actions: (np.zeros((3, 3)), *step(actions)[1:])
    named = "took or returned a value that does not fit" if vector else r"of shape \(3,\). Expected \(1,\)"
    with pytest.raises(EnvironmentFailureError, match=named):
        run(env, ConstantAgent(3))


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("bad", [10**400, "high", [1.0, 2.0]])
def test_rewards_that_cannot_be_stored(bad, vector):
    def env():
        return Broken(lambda o, r, te, tr, i: (o, bad, te, tr, i))

    with pytest.raises(EnvironmentFailureError, match=r"step 7 .*(OverflowError|ValueError|TypeError)"):
        run(SyncVectorEnv([CountingEnv, env]) if vector else env(), ConstantAgent(2))


def test_an_observation_of_another_shape_is_named_before_anybody_acts_on_it():
    class Chokes(ConstantAgent):
        def act(self, observation):
            return int(observation @ np.zeros(1))

    wide = Broken(lambda observation, *rest: (np.zeros(7), *rest))
    with pytest.raises(EnvironmentFailureError, match=r"step 7 returned .* of shape \(7,\). Expected \(1,\)"):
        run(wide, Chokes())


def test_same_step_without_the_final_observation():
    class Forgetful(gym.vector.VectorWrapper):
        def step(self, actions):
            return *self.env.step(actions)[:4], {}

    env = Forgetful(SyncVectorEnv([RandomLengthEnv] * 2, autoreset_mode=AutoresetMode.SAME_STEP))
    with pytest.raises(EnvironmentFailureError, match="info has no 'final_obs'"):
        run(env, PolicyAgent())


def test_an_unknown_autoreset_mode():
    env = CountingVectorEnv()
    env.metadata = {"autoreset_mode": "Sometimes"}
    with pytest.raises(InvalidArgumentError, match=r"must be one of .*Received: 'Sometimes'"):
        BatchPipeline(env)


def test_loose_values_in_a_vector():
    env = CountingVectorEnv()
    env.single_observation_space = spaces.Text(3)
    env.reset = lambda **kwargs: (("a", "b", "c"), {})
    with pytest.raises(UnsupportedSpaceError, match="vector environment must have a fixed shape"):
        run(env, ConstantAgent(3))


@pytest.mark.parametrize("size", [0, -3])
def test_window_size_below_one(size):
    with pytest.raises(InvalidArgumentError, match=f"`window_size` must be an integer >= 1. Received: {size}"):
        BatchPipeline(CountingEnv(), window_size=size)


@pytest.mark.parametrize("size", [2.5, "200", None, True])
def test_window_size_that_is_no_integer(size):
    with pytest.raises(InvalidTypeError, match="`window_size` must be an integer"):
        BatchPipeline(CountingEnv(), window_size=size)


def test_other_numbers_out_of_range():
    with pytest.raises(InvalidArgumentError, match="`seed` must be"):
        BatchPipeline(CountingEnv(), seed=-1)
    with pytest.raises(InvalidArgumentError, match="`seed` must be"):
        BatchPipeline(CountingEnv()).set_seed(-1)
    with pytest.raises(InvalidArgumentError, match="`barrier_interval_steps` must be"):
        BatchPipeline(CountingEnv(), barrier_interval_steps=0)
    with pytest.raises(InvalidArgumentError, match="`num_episodes` must be"):
        BatchPipeline(CountingEnv()).play_episodes(lambda obs: 0, 0, seed=0)


def test_an_id_instead_of_an_env():
    with pytest.raises(InvalidTypeError, match=r"pass gym.make\('CartPole-v1'\)"):
        BatchPipeline("CartPole-v1")


def test_something_else_instead_of_an_env():
    with pytest.raises(InvalidTypeError, match=r"must be a gymnasium.Env.*Received: 3 of type int"):
        BatchPipeline(3)
    with pytest.raises(InvalidTypeError, match=r"must return an environment. It returned: 3"):
        BatchPipeline(lambda: 3)
    with pytest.raises(EnvironmentFailureError, match="given as `env` raised ZeroDivisionError"):
        BatchPipeline(lambda: 1 / 0)


def test_an_agent_that_cannot_act():
    with pytest.raises(InvalidTypeError, match=r"must have the method act\. Received: 5 of type int"):
        BatchPipeline(CountingEnv(), 5)


def test_no_agent():
    with pytest.raises(NotBoundError, match="has no agent"):
        BatchPipeline(CountingEnv()).episodes()


def test_playing_while_episodes_run():
    pipeline = BatchPipeline(CountingEnv(), ConstantAgent(), 5, seed=0)
    next(pipeline.episodes())
    with pytest.raises(NotBoundError, match=r"Call request_barrier\(\) first"):
        pipeline.play_episodes(lambda obs: 0, 1, seed=0)


def test_use_after_teardown():
    pipeline = BatchPipeline(CountingEnv(), ConstantAgent(), 5, seed=0)
    stream = pipeline.episodes()
    next(stream)
    pipeline.teardown()
    for use in (lambda: next(stream), pipeline.episodes, lambda: pipeline.play_episodes(len, 1, seed=0)):
        with pytest.raises(NotBoundError, match=r"closed by teardown\(\)"):
            use()


def test_an_instance_that_cannot_be_used_again():
    class Gone(CountingEnv):
        closed = False

        def close(self):
            self.closed = True

        def reset(self, *, seed=None, options=None):
            if self.closed:
                raise OSError("window is gone")
            return super().reset(seed=seed)

    pipeline = BatchPipeline(Gone(), ConstantAgent(), 5, seed=0, close_env=True)
    pipeline.teardown()
    with pytest.raises(EnvironmentFailureError, match=r"cannot be used again.*window is gone.*Pass a callable"):
        pipeline.setup()


@pytest.mark.parametrize("env", [CountingEnv(), CountingVectorEnv()])
def test_collecting_before_the_first_reset(env):
    kind = kind_of(env)
    collector = kind.collector(kind.guard(env))
    with pytest.raises(NotBoundError, match=r"reset\(\) comes before open_window\(\)"):
        collector.open_window(3)
