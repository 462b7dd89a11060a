"""State that users bring along: what hangs on an agent goes on exactly; what cannot be saved is named."""

from collections import deque

import gymnasium as gym
import keras
import numpy as np
import pytest
import resume_fakes
import tensorflow as tf
from resume_fakes import LinearAgent, MeanReturn, Scores, assert_same, interrupted, make_run, other_notes, outcome_of

from tensor_optix import (
    BackoffOptimizer,
    BaseOptimizer,
    BatchPipeline,
    HyperparamSet,
    LoopCallback,
    RLOptimizer,
    TFAgent,
)
from tensor_optix.exceptions import StateMismatchError

pytestmark = pytest.mark.usefixtures("save_at_every_barrier")


ANEW = "after a resume it starts anew"


def network(size, seed, *layers):
    def dense(units):
        return keras.layers.Dense(units, "relu", kernel_initializer=keras.initializers.HeNormal(seed))

    return keras.Sequential([keras.Input((4,)), dense(4), *layers, dense(size)])


def make_agent(kind, seed, *layers):
    params = HyperparamSet({"learning_rate": 3e-3, "gamma": 0.99, "num_epochs": 1}, 0)
    return kind(network(2, seed, *layers), keras.optimizers.Adam(), params)


class Helper:
    """An object of the user's own that holds some of it."""

    def __init__(self, seed):
        self.scale = tf.Variable(1.0 + seed)
        self.rng = np.random.default_rng(seed)


class Critic(keras.Model):
    """Built at its first call."""

    def __init__(self, seed):
        super().__init__()
        self.inner = keras.layers.Dense(1, kernel_initializer=keras.initializers.HeNormal(seed))

    def call(self, inputs):
        return self.inner(inputs)


class Bonus:
    """Is called, and has slots."""

    __slots__ = ("network", "rng")

    def __init__(self, seed):
        self.rng = np.random.RandomState(seed % 1000)
        self.network = network(1, seed + 2)

    def __call__(self, observations):
        self.network.variables[0].assign(self.network.variables[0] * (1.0 + 0.01 * self.rng.normal()))
        return tf.reduce_mean(self.network(observations))


class TwoNetworks(TFAgent):
    """Learns with a second network, its optimizer, seeds and generators of its own."""

    def __init__(self, model, optimizer, hyperparams):
        super().__init__(model, optimizer, hyperparams)
        seed = int(abs(float(keras.ops.sum(model.variables[0]))) * 1e6)
        self.critic = Critic(seed)
        self.critic_optimizer = keras.optimizers.Adam(1e-2)
        self.towers = {"left": [network(1, seed)], "right": (network(1, seed + 1),)}
        self.same_again = self.towers["left"][0]
        self.seeds = keras.random.SeedGenerator(seed)
        self.helper = Helper(seed)
        self.mean = keras.metrics.Mean()
        self.bonus = deque([Bonus(seed)])

    def learn(self, episode_data):
        found = super().learn(episode_data)
        observations = tf.convert_to_tensor(episode_data.observations.reshape(-1, 4), tf.float32)
        noise = keras.random.normal((1,), seed=self.seeds) * self.helper.scale
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.critic(observations) - noise - self.helper.rng.normal()) ** 2)
        gradients = tape.gradient(loss, self.critic.trainable_variables)
        self.critic_optimizer.apply(gradients, self.critic.trainable_variables)
        for tower in (self.towers["left"][0], self.towers["right"][0]):
            tower.variables[0].assign_add(tower.variables[0] * 0.01 * noise)
        self.helper.scale.assign(self.helper.scale * 0.99)
        self.mean.update_state(loss + self.bonus[0](observations))
        self.model.variables[-1].assign_add(0.01 * tf.reduce_mean(self.critic(observations)) * tf.ones(2))
        return found | {"critic_loss": float(loss), "mean": float(self.mean.result())}


class WithDropout(TFAgent):
    """Learns from a network that draws, as it was told to, in training."""

    def __init__(self, model, optimizer, hyperparams):
        super().__init__(model, optimizer, hyperparams, compute_loss_fn=self.loss)

    @staticmethod
    def loss(model, episode_data, returns):
        logits = model(episode_data.observations, training=True)
        return tf.reduce_mean(tf.nn.log_softmax(logits)[:, 0] * returns)


def run(folder, agent, *, resume=False, stop_at=None, **arguments):
    pipeline = BatchPipeline(lambda: gym.make("CartPole-v1"), agent, 60, barrier_interval_steps=300)
    settings = {"tuner": "none", "max_env_steps": 900, "report_episodes": 0, "callbacks": [], **arguments}
    settings = {"pipeline": pipeline, "seed": None if resume else 5, **settings}
    optimizer = make_run(folder, agent=agent, stop_at=stop_at, **settings)
    if stop_at is not None:
        return interrupted(optimizer)
    result = optimizer.run(resume=resume)
    without = {"agent_meta", "report", "champion_weights"}  # the description names layers, which count on in a process
    found = outcome_of(optimizer, result) if result.report else {"rows": repr(result.history)}
    notes = tuple(note for note in other_notes(result) if "load_agent" not in note)
    return {name: value for name, value in found.items() if name not in without} | {"notes": notes}


def test_what_hangs_on_an_agent_goes_on_exactly(tmp_path):
    expected = run(tmp_path / "left-alone", make_agent(TwoNetworks, 0), report_episodes=2)
    run(tmp_path / "cut", make_agent(TwoNetworks, 0), stop_at=8)
    ended = run(tmp_path / "cut", make_agent(TwoNetworks, 9), resume=True, report_episodes=2)
    assert_same(ended, expected)
    assert expected["notes"] == ()
    names = {name.split(".")[1].split("[")[0] for name in expected["agent"] if name.startswith("attached.")}
    assert names == {"critic", "critic_optimizer", "towers", "seeds", "helper", "mean", "bonus"}


@pytest.mark.parametrize(
    "layer", [lambda seed: keras.layers.Dropout(0.5, seed=seed), lambda seed: keras.layers.GaussianNoise(1.0)]
)
def test_layers_with_seeds_go_on_exactly(tmp_path, layer):
    keras.utils.set_random_seed(3)
    expected = run(tmp_path / "left-alone", make_agent(WithDropout, 0, layer(1)), report_episodes=2)
    keras.utils.set_random_seed(3)
    run(tmp_path / "cut", make_agent(WithDropout, 0, layer(1)), stop_at=8)
    assert_same(run(tmp_path / "cut", make_agent(WithDropout, 9, layer(2)), resume=True, report_episodes=2), expected)
    assert expected["notes"] == ()


def test_a_state_is_whole_in_memory_too():
    agents = [make_agent(TwoNetworks, seed) for seed in (0, 1)]
    for agent in agents:
        agent.bind(gym.spaces.Box(-1.0, 1.0, (4,)), gym.spaces.Discrete(2), seed=0)
        agent.critic(np.zeros((1, 4), np.float32))
    state = agents[0].get_state()
    agents[1].set_state(state)
    assert agents[1].not_restored == []
    for name, array in agents[1].get_state().arrays.items():
        np.testing.assert_array_equal(array, state.arrays[name], err_msg=name)


def test_another_second_network_is_refused():
    first, second = (make_agent(TwoNetworks, 0) for _ in range(2))
    second.towers["left"] = [network(3, 0)]
    for agent in (first, second):
        agent.bind(gym.spaces.Box(-1.0, 1.0, (4,)), gym.spaces.Discrete(2), seed=0)
    with pytest.raises(StateMismatchError, match=r"arrays of 'attached.towers\['left'\]\[0\]' differ"):
        second.set_state(first.get_state())


class Late(TFAgent):
    """Makes its second network when it first learns."""

    second = None

    def learn(self, episode_data):
        if self.second is None:
            self.second = network(1, 0)
        return super().learn(episode_data)


def test_what_is_made_only_later_is_named(tmp_path):
    run(tmp_path, make_agent(Late, 0), stop_at=8)
    notes = run(tmp_path, make_agent(Late, 0), resume=True)["notes"]
    assert "the agent's second (Sequential) is not there yet, so it starts afresh" in " | ".join(notes)


class Counting(LoopCallback):
    def __init__(self):
        self.every, self.names = 3, ("a", "b")
        self.counts = {"windows": 0}

    def on_episode_end(self, episode_id, metrics):
        self.counts["windows"] += 1


class Saved(Counting):
    def state_dict(self):
        return {"counts": self.counts}

    def load_state_dict(self, state):
        self.counts = state["counts"]


class Watching(Counting):
    """Keeps what frameworks keep, and what Python keeps in slots."""

    def __init__(self):
        self.mean, self.variable, self.seeds = keras.metrics.Mean(), tf.Variable(0.0), keras.random.SeedGenerator(1)
        self.bonus, self.model, self.fixed = Bonus(0), None, tf.constant(1.0)

    def on_episode_end(self, episode_id, metrics):
        self.mean.update_state(float(episode_id))
        self.variable.assign_add(1.0)
        self.seeds.next()
        self.bonus.rng.normal()


class MoreScores(Scores):
    """Inherits the state of a class of the user's: whoever wrote it knows."""

    def on_plateau(self, episode_id, state):
        self.plateaus = episode_id


class Rising(MeanReturn):
    def __init__(self):
        self.seen = deque(maxlen=5)

    def score(self, episode_data, train_diagnostics):
        self.seen.append(episode_data.episode_id)
        return super().score(episode_data, train_diagnostics)


class Drifting(BaseOptimizer):
    def __init__(self):
        self.best, self.rng = None, np.random.default_rng(0)

    def suggest(self, current_hyperparams, metrics_history):
        self.rng.normal()
        return current_hyperparams

    def on_improvement(self, metrics):
        self.best = metrics.primary_score

    def on_plateau(self, metrics_history):
        pass


class Restless(BackoffOptimizer):
    calls = 0

    def suggest(self, current_hyperparams, metrics_history):
        self.calls += 1
        return super().suggest(current_hyperparams, metrics_history)


class Remembering(gym.Wrapper):
    """Carries something over a reset, and something that a reset forgets."""

    def __init__(self, env):
        super().__init__(env)
        self.total, self.steps, self.limit = 0, 0, 7

    def reset(self, **arguments):
        self.steps = 0
        return super().reset(**arguments)

    def step(self, action):
        self.total += 1
        self.steps += 1
        return super().step(action)


class Noting(TFAgent):
    """Notes its losses."""

    def __init__(self, model, optimizer, hyperparams):
        super().__init__(model, optimizer, hyperparams)
        self.losses, self.width = [], 4

    def learn(self, episode_data):
        found = super().learn(episode_data)
        self.losses.append(found["loss"])
        return found


def wrapped(agent):
    return BatchPipeline(lambda: Remembering(gym.make("CartPole-v1")), agent, 60, barrier_interval_steps=300)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("callback", "the callback Counting holds state (attributes: counts) but has no state_dict"),
        (
            "watching callback",
            "the callback Watching holds state (attributes: mean, variable, seeds, bonus) but has no state_dict",
        ),
        ("evaluator", "the evaluator Rising holds state (attributes: seen) but has no state_dict"),
        (
            "tuner",
            "the hyperparameter optimizer Drifting holds state (attributes: best, rng) that the inherited state_dict "
            "does not know",
        ),
        (
            "more of a tuner",
            "the hyperparameter optimizer Restless holds state (attributes: calls) that the inherited state_dict "
            "does not know",
        ),
        (
            "wrapper",
            "the environment's Remembering carries state over a reset (attributes: total) but has no state_dict",
        ),
        ("nothing", None),
    ],
)
def test_what_cannot_be_saved_is_named_once_and_in_the_notes(tmp_path, monkeypatch, caplog, part, said):
    def parts():
        agent = LinearAgent()
        return {
            "callback": {"callbacks": [Counting()]},
            "watching callback": {"callbacks": [Watching()]},
            "evaluator": {},
            "tuner": {"optimizer": Drifting()},
            "more of a tuner": {"optimizer": Restless({"learning_rate": (1e-4, 1.0)})},
            "wrapper": {"agent": agent, "pipeline": wrapped(agent)},
            "nothing": {"callbacks": [LoopCallback(), Saved(), MoreScores()]},
        }[part]

    if part == "evaluator":
        monkeypatch.setattr(resume_fakes, "MeanReturn", Rising)
    notes = run(tmp_path / "left-alone", **{"agent": LinearAgent(), **parts()})["notes"]
    assert caplog.text.count(str(said)) == (said is not None)
    run(tmp_path / "cut", stop_at=8, **{"agent": LinearAgent(), **parts()})
    resumed = run(tmp_path / "cut", resume=True, **{"agent": LinearAgent(), **parts()})["notes"]
    if said is None:
        assert notes == resumed == ()
    else:
        assert notes == (f"{said}: {ANEW}",)
        assert f"the run was resumed, but not exactly: {said}: {ANEW}" in resumed
        assert all("holds state" in note or "carries state" in note for note in resumed)


def test_an_agent_s_own_attributes_are_named(tmp_path):
    notes = run(tmp_path, make_agent(Noting, 0))["notes"]
    said = "the agent Noting holds state (attributes: losses) that the inherited get_state does not know"
    assert notes == (f"{said}: {ANEW}",)


class Noise(keras.layers.Layer):
    """Draws as people do who think of no seed."""

    def __init__(self, draw, **arguments):
        super().__init__(**arguments)
        self.draw = draw

    def call(self, inputs, training=False):
        return inputs + self.draw(tf.shape(inputs)) if training else inputs


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (tf.random.normal, "a state inside TensorFlow (RandomStandardNormal)"),
        (
            lambda shape: keras.random.normal((4,)),
            "keras.random without a seed is drawn from, whose state is not saved",
        ),
    ],
)
def test_random_numbers_that_belong_to_nobody_are_named(tmp_path, draw, said):
    notes = run(tmp_path, make_agent(WithDropout, 0, Noise(draw)))["notes"]
    assert said in " | ".join(notes)


def test_tensorflow_s_global_generator_is_named(tmp_path):
    class Drawing(TFAgent):
        def learn(self, episode_data):
            tf.random.normal((1,))
            return super().learn(episode_data)

    tf.random.set_seed(3)
    notes = run(tmp_path, make_agent(Drawing, 0))["notes"]
    assert "tf.random is drawn from, whose state is not saved" in " | ".join(notes)


class Diary(gym.Wrapper):
    """Says of itself whatever it likes."""

    def __init__(self, env):
        super().__init__(env)
        self.pages, self.best, self.total = [None], 0, 0.0

    def step(self, action):
        self.total += 0.01
        self.pages, self.best = [None, self.total, "text", [1, "x"], {"a": None}], None if self.total > 1.0 else "few"
        observation, reward, *rest = super().step(action)
        return observation, reward + self.total, *rest

    def state_dict(self):
        return {"pages": self.pages, "best": self.best, "total": self.total}

    def load_state_dict(self, state):
        self.pages, self.best, self.total = state["pages"], state["best"], state["total"]


def test_a_wrapper_s_own_state_and_the_default_evaluator_s_go_on_exactly(tmp_path):
    def go(folder, **arguments):
        agent = make_agent(TFAgent, 9 if arguments.get("resume") else 0)
        pipeline = BatchPipeline(lambda: Diary(gym.make("CartPole-v1")), agent, 60, barrier_interval_steps=300)
        stop = [StopAt(8)] if arguments.pop("stops", False) else []
        optimizer = RLOptimizer(
            agent, pipeline, checkpoint_dir=folder, max_env_steps=900, report_episodes=0, seed=5, callbacks=stop
        )
        return optimizer.run(**arguments)

    expected = go(tmp_path / "left-alone")
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "cut", stops=True)
    ended = go(tmp_path / "cut", resume=True)
    assert repr(ended.history["score"]) == repr(expected.history["score"])
    assert other_notes(expected) == other_notes(ended) == ()


class StopAt(LoopCallback):
    def __init__(self, window):
        self.window = window

    def on_episode_end(self, episode_id, metrics):
        if episode_id == self.window:
            raise KeyboardInterrupt
