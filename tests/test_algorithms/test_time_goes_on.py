"""A champion that is brought back within a run brings what was learned, and not the time at which it was learned."""

import itertools

import keras
import numpy as np
import pytest
from four_agents import LENGTH, SMALL, assert_same_state, env_of, fresh_agent

from tensor_optix import BaseEvaluator, BatchPipeline, EvalMetrics, LoopCallback, RLOptimizer

STARTS, DECAY, WINDOW = 60, 300, 10
COUNTS_TIME = ("progress", "epsilon")
"""What a state of the agents here tells of time."""


class Equal(BaseEvaluator):
    """Every window scores the same: the first is the champion, and after 48 of them the loop tries something bold."""

    def score(self, episode_data, train_diagnostics):
        return EvalMetrics(1.0, {}, episode_data.episode_id)


class Watch(LoopCallback):
    """Writes down the hyperparameters that changed, and the actions of each window."""

    def __init__(self, pipeline):
        self.updates, self.actions, self.num_windows = [], [], 0
        windows = pipeline.episodes

        def watched():
            for window in windows():
                self.actions.append(np.asarray(window.actions, float))
                yield window

        pipeline.episodes = watched

    def on_episode_end(self, episode_id, eval_metrics):
        self.num_windows += 1

    def on_hyperparam_update(self, old_params, new_params):
        self.updates.append(self.num_windows)


def run(agent, algorithm, folder):
    pipeline = BatchPipeline(env_of(algorithm), agent, window_size=WINDOW)
    watch = Watch(pipeline)
    optimizer = RLOptimizer(
        agent,
        pipeline,
        Equal(),
        checkpoint_dir=str(folder),
        plateau_threshold=1,
        dormant_threshold=1000,
        max_episodes=75,
        callbacks=[watch],
        seed=0,
        report_episodes=0,
    )
    return optimizer.run().history, watch


def narrow_actor():
    """An actor whose every action is near the middle: an action that is not was drawn evenly."""
    bias = keras.initializers.Constant(np.array([0.0, -5.0]))
    return keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(2, kernel_initializer="zeros", bias_initializer=bias)]
    )


def teach(agent, env, num_windows):
    for window in itertools.islice(BatchPipeline(env, agent, window_size=30, seed=2).episodes(), num_windows):
        agent.learn(window)


@pytest.mark.parametrize("algorithm", SMALL)
def test_what_was_learned_comes_back_to_the_last_bit(algorithm):
    """Also the optimizer's iterations: they correct the bias of moments that come back with them."""
    agent, env = fresh_agent(algorithm), env_of(algorithm)
    teach(agent, env, 3)
    early = agent.get_state("learner")
    teach(agent, env, 2)
    agent.go_back_to(early)
    back = agent.get_state("all")
    agent.set_state(early)
    assert_same_state(back, agent.get_state("all"), but=(*COUNTS_TIME, "version"))


@pytest.mark.parametrize("algorithm", ["dqn", "sac"])
def test_a_state_of_a_longer_life_brings_its_time(algorithm):
    """So the champion of a run that is over begins where it was, in an agent that was just made."""
    older, agent = fresh_agent(algorithm), fresh_agent(algorithm)
    teach(older, env_of(algorithm), 3)
    late = older.get_state("learner")
    agent.go_back_to(late)
    assert_same_state(agent.get_state("learner"), late, but=("version",))


def test_an_exploration_that_a_changed_world_began_anew_goes_on():
    agent = fresh_agent("dqn")
    teach(agent, env_of("dqn"), 12)
    champion = agent.get_state("learner")
    agent.on_world_change()
    renewed = agent.get_state("learner").meta["epsilon"]
    agent.go_back_to(champion)
    assert champion.meta["epsilon"] < agent.get_state("learner").meta["epsilon"] == renewed


def test_episodes_are_as_long_as_a_window():
    assert LENGTH == WINDOW
