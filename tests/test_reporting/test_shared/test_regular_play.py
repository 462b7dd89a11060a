import gymnasium as gym
import numpy as np
import pytest
from logged_runs import make_optimizer
from resume_fakes import LinearAgent

from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, UnknownEnvironmentError
from tensor_optix.reporting.shared.regular_play import RegularPlay


class Playing(RegularPlay):
    def __init__(self, env="CartPole-v1", every_env_steps=500, num_episodes=2, seed=0, fails=False):
        super().__init__(env, every_env_steps, num_episodes, seed)
        self.times, self.fails = [], fails

    def begin(self, run):
        self.found = self.source(run, render_mode="rgb_array")

    def play(self, run, env_steps):
        self.times.append(env_steps)
        if self.fails:
            raise RuntimeError("the screen is gone")


def test_it_plays_at_the_first_window_that_reaches_the_steps(tmp_path):
    playing = Playing(every_env_steps=250)
    make_optimizer(tmp_path, [playing], max_env_steps=None, max_episodes=10).run()
    assert playing.times == [300, 500, 800, 1000]


def test_a_second_run_keeps_the_beat(tmp_path):
    playing = Playing(every_env_steps=400)
    optimizer = make_optimizer(tmp_path, [playing], max_env_steps=None, max_episodes=5)
    optimizer.run()
    optimizer.run()
    assert playing.times == [400, 800]


def test_one_that_fails_says_so_once_and_is_off(tmp_path, caplog):
    playing = Playing(fails=True)
    result = make_optimizer(tmp_path, [playing], max_env_steps=None, max_episodes=12).run()
    assert playing.times == [500]
    assert caplog.text.count("the screen is gone") == 1
    assert "Playing is off: RuntimeError: the screen is gone" in result.notes


@pytest.mark.parametrize("num_envs", [1, 2])
def test_another_environment_like_that_of_training_is_made_by_name(tmp_path, num_envs):
    playing = Playing(env=None)
    make_optimizer(tmp_path, [playing], num_envs=num_envs, max_env_steps=None, max_episodes=2).run()
    env = playing.found()
    assert (env.spec.id, env.render_mode) == ("CartPole-v1", "rgb_array")


class Nameless(gym.Wrapper):
    @property
    def spec(self):
        return None


def test_where_no_name_is_known_one_is_asked_for(tmp_path, caplog):
    make_optimizer(tmp_path, [Playing(env=None)], env=lambda: Nameless(gym.make("CartPole-v1")), max_episodes=2).run()
    assert "Playing is off: InvalidArgumentError: How to make another environment is not known" in caplog.text


def test_the_environment_of_training_is_refused(tmp_path, caplog):
    from logged_runs import MeanReturn

    from tensor_optix import BatchPipeline, RLOptimizer

    env, agent = gym.make("CartPole-v1"), LinearAgent()
    playing = Playing(env=env)
    pipeline = BatchPipeline(env, agent, 100)
    RLOptimizer(agent, pipeline, MeanReturn(), checkpoint_dir=tmp_path, callbacks=[playing], max_episodes=8).run()
    assert "the very environment that is trained in" in caplog.text
    assert playing.times == []


class Exploring(LinearAgent):
    """Greedy or not, it draws from its generator, and it cannot be copied."""

    def act_greedy(self, observation):
        return self.act(observation)


def test_what_acts_is_afterwards_as_before(tmp_path):
    class Really(Playing):
        def play(self, run, env_steps):
            from tensor_optix.pipeline.evaluation import EvaluationEnv

            before = run.agent.get_state("all")
            with EvaluationEnv(self.source(run)) as env:
                self.result = self.play_in(env, run)
            after = run.agent.get_state("all")
            assert after.meta == before.meta
            for name, array in before.arrays.items():
                np.testing.assert_array_equal(after.arrays[name], array)
            self.times.append(env_steps)

    playing = Really()
    make_optimizer(tmp_path, [playing], agent=Exploring(), max_env_steps=None, max_episodes=6).run()
    assert playing.times == [500]
    assert playing.env_steps == playing.result.env_steps > 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"every_env_steps": 0}, InvalidArgumentError, "every_env_steps"),
        ({"num_episodes": 1.5}, InvalidTypeError, "num_episodes"),
        ({"seed": None}, InvalidTypeError, "seed"),
        ({"env": "CartPole-v9"}, UnknownEnvironmentError, "CartPole"),
    ],
)
def test_bad_arguments_are_refused_at_once(changes, error, message):
    with pytest.raises(error, match=message):
        Playing(**changes)
