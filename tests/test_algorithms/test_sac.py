"""SAC: its formulas against NumPy, its schedule, its state, and that it learns."""

import gymnasium as gym
import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from off_policy_makers import VECTOR, assert_same_arrays, play, play_on

from tensor_optix.adapters.tensorflow.loading import load_agent
from tensor_optix.algorithms.sac import SACAgent
from tensor_optix.core.types import EpisodeData, HyperparamSet
from tensor_optix.exceptions import (
    IncompatibleModelError,
    InvalidArgumentError,
    InvalidTypeError,
    NonFiniteError,
    NotBoundError,
    UnsupportedSpaceError,
)
from tensor_optix.optimizer import RLOptimizer
from tensor_optix.pipeline.batch_pipeline import BatchPipeline

ACTIONS = gym.spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32))
SMALL = {"batch_size": 8, "buffer_size": 500, "learning_starts": 10, "hidden_units": (8,)}


def make(space=ACTIONS, seed=1, params=None, bound=True, **arguments):
    agent = SACAgent(hyperparams=HyperparamSet(params or {}, 0), **{**SMALL, **arguments})
    if bound:
        agent.bind(VECTOR, space, seed=seed)
    return agent


def in_numpy(weights, inputs):
    """A one-hidden-layer network in float64."""
    w1, b1, w2, b2 = weights
    return np.maximum(inputs @ w1 + b1, 0) @ w2 + b2


def values_of(variables):
    return [v.numpy().astype(np.float64) for v in variables]


def random_batch(rng, size=16):
    return {
        "o_t_0": rng.normal(size=(size, 4)).astype(np.float32),
        "o_tpk_0": rng.normal(size=(size, 4)).astype(np.float32),
        "action": rng.uniform(-1, 1, (size, 2)).astype(np.float32),
        "return": rng.normal(size=size).astype(np.float32),
        "discount": rng.choice([0.0, 0.9], size).astype(np.float32),
        "noise": rng.normal(size=(size, 4)).astype(np.float32),
    }


class SlowSAC:
    """The losses of Haarnoja et al. (2018), equations 5, 7 and 18, a sample at a time."""

    def __init__(self, agent, batch, alpha):
        self.batch, self.alpha = batch, alpha
        self.actor = values_of(agent.model.trainable_variables)
        self.critics = [values_of(v) for v in agent._twin_variables()]
        self.targets = [values_of(t.variables) for t in agent._targets]

    def sample(self, actor, observation, noise):
        mean, log_std = np.split(in_numpy(actor, observation), 2)
        std = np.exp(np.clip(log_std, -20, 2))
        u = mean + std * noise
        action = np.tanh(u)
        log_prob = scipy.stats.norm.logpdf(u, mean, std).sum() - np.log(1 - action**2).sum()
        return action, log_prob

    def errors(self, critics):
        for i in range(len(self.batch["return"])):
            action, log_prob = self.sample(self.actor, self.batch["o_tpk_0"][i], self.batch["noise"][i, 2:])
            rows = np.concatenate([self.batch["o_tpk_0"][i], action])
            soft = min(in_numpy(t, rows)[0] for t in self.targets) - self.alpha * log_prob
            target = self.batch["return"][i] + self.batch["discount"][i] * soft
            seen = np.concatenate([self.batch["o_t_0"][i], self.batch["action"][i]])
            yield [in_numpy(c, seen)[0] - target for c in critics]

    def critic_loss(self, critics):
        return np.mean([0.5 * (a**2 + b**2) for a, b in self.errors(critics)])

    def actor_terms(self, actor):
        for observation, noise in zip(self.batch["o_t_0"], self.batch["noise"][:, :2], strict=True):
            action, log_prob = self.sample(actor, observation, noise)
            value = min(in_numpy(c, np.concatenate([observation, action]))[0] for c in self.critics)
            yield self.alpha * log_prob - value, log_prob

    def actor_loss(self, actor):
        return np.mean([loss for loss, _ in self.actor_terms(actor)])


def slope(function, weights, which, place, step=1e-5):
    ends = []
    for sign in (1, -1):
        moved = [w.copy() for w in weights]
        moved[which][place] += sign * step
        ends.append(function(moved))
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("fixed_alpha", [0.0, 0.3])
def test_losses_and_gradients_are_those_of_a_slow_sum(fixed_alpha):
    agent, rng = make(params={"initial_alpha": 0.7}), np.random.default_rng(0)
    for target in agent._targets:
        for variable in target.variables:
            variable.assign_add(0.1 * rng.normal(size=variable.shape))
    batch = random_batch(rng)
    settings = {"tau": 0.005, "fixed_alpha": fixed_alpha, "target_entropy": -2.0}
    (critic_gradients, actor_gradients, alpha_gradients), metrics, errors = agent.compute(
        {name: tf.constant(x) for name, x in batch.items()}, {k: tf.constant(v) for k, v in settings.items()}
    )
    slow = SlowSAC(agent, batch, fixed_alpha or 0.7)
    np.testing.assert_allclose(metrics["alpha"], fixed_alpha or 0.7, rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"], slow.critic_loss(slow.critics), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(errors, [a for a, _ in slow.errors(slow.critics)], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(metrics["actor_loss"], slow.actor_loss(slow.actor), rtol=1e-5, atol=1e-5)
    log_probs = np.array([log_prob for _, log_prob in slow.actor_terms(slow.actor)])
    np.testing.assert_allclose(metrics["entropy"], -log_probs.mean(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(alpha_gradients[0], -(log_probs - 2.0).mean(), rtol=1e-5, atol=1e-5)
    for which, gradient in enumerate(actor_gradients):
        place = tuple(rng.integers(0, size) for size in gradient.shape)
        expected = slope(slow.actor_loss, slow.actor, which, place)
        np.testing.assert_allclose(gradient.numpy()[place], expected, rtol=1e-3, atol=1e-5)
    for twin in (0, 1):
        for which in range(4):
            gradient = critic_gradients[4 * twin + which].numpy()
            place = tuple(rng.integers(0, size) for size in gradient.shape)

            def loss(weights, twin=twin):
                return slow.critic_loss([weights if i == twin else c for i, c in enumerate(slow.critics)])

            np.testing.assert_allclose(
                gradient[place], slope(loss, slow.critics[twin], which, place), rtol=1e-3, atol=1e-5
            )
    norm = np.sqrt(sum((np.asarray(g) ** 2).sum() for g in [*critic_gradients, *actor_gradients]))
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-5)


def test_the_gradient_of_the_temperature_is_that_of_its_loss():
    agent, rng = make(), np.random.default_rng(1)
    batch = {name: tf.constant(x) for name, x in random_batch(rng).items()}
    settings = {"tau": tf.constant(0.0), "fixed_alpha": tf.constant(0.0), "target_entropy": tf.constant(-0.5)}
    (_, _, gradients), metrics, _ = agent.compute(batch, settings)
    with tf.GradientTape() as tape:
        loss = agent._log_alpha.value * (metrics["entropy"] + 0.5)
    np.testing.assert_allclose(gradients[0], tape.gradient(loss, agent._log_alpha.value), rtol=1e-6)


def test_one_step_moves_everything_as_the_paper_says():
    agent = make(params={"tau": 0.1, "learning_rate": 1e-2})
    before = {name: values_of(variables) for name, variables in agent._learner_variables()}
    agent._loop({name: x[None] for name, x in random_batch(np.random.default_rng(0), 8).items()}, {
        "tau": 0.1, "fixed_alpha": 0.0, "target_entropy": -2.0
    })  # fmt: skip
    after = {name: values_of(variables) for name, variables in agent._learner_variables()}
    for target, source in (("target", "critic"), ("twin_target", "twin")):
        for old, new, moved in zip(before[target], after[target], after[source], strict=True):
            np.testing.assert_allclose(new, 0.9 * old + 0.1 * moved, rtol=1e-5, atol=1e-6)
    for name in ("critic", "twin", "log_alpha"):
        assert all((new != old).any() for old, new in zip(before[name], after[name], strict=True))
    np.testing.assert_allclose(np.abs(after["log_alpha"][0] - before["log_alpha"][0]), 1e-2, rtol=1e-2)


def test_a_given_temperature_stays_and_an_automatic_one_meets_the_entropy():
    fixed = make(params={"alpha": 0.25})
    said, _ = play_on(fixed, 0, 3)
    assert said[-1]["alpha"] == pytest.approx(0.25)
    assert float(fixed._log_alpha.numpy()) == 0.0
    found = make(params={"learning_rate": 1e-2, "target_entropy": 0.5}, hidden_units=(32,))
    for number in range(20):
        said = found.learn(play(found, number, reward=lambda o, a: -(a[:, 0] ** 2)))
    assert abs(said["entropy"] - 0.5) < 0.3
    assert said["alpha"] < 0.9


def test_the_twin_is_another_draw_and_targets_start_as_copies():
    agent = make(hidden_units=(64,))
    first, twin = agent._twin_variables()
    assert abs(np.corrcoef(first[0].numpy().ravel(), twin[0].numpy().ravel())[0, 1]) < 0.2
    for target, source in zip(agent._targets, (first, twin), strict=True):
        for a, b in zip(target.variables, source, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def critic_of(num_actions=2):
    inputs = [keras.Input((4,)), keras.Input((num_actions,))]
    hidden = keras.layers.Dense(32, "relu")(keras.layers.Concatenate()(inputs))
    return keras.Model(inputs, keras.layers.Dense(1)(hidden))


def test_the_twin_of_a_pretrained_critic_knows_what_it_knows(tmp_path):
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(256, 4)), rng.uniform(-1, 1, (256, 2))]
    inputs = [x.astype(np.float32) for x in inputs]
    critic = critic_of()
    critic.compile(keras.optimizers.Adam(1e-2), "mse")
    critic.fit(inputs, inputs[0][:, :1] + inputs[1][:, 1:], epochs=3, verbose=0)
    expected = critic.predict(inputs, verbose=0)[:, 0]
    agent = make(critic=critic)
    for rated in (agent._twin, *agent._targets):
        np.testing.assert_allclose(rated([inputs[0]], inputs[1]), expected, rtol=1e-5, atol=1e-5)
    # Weights that come later, into an agent that is bound, reach it as well.
    actor = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    SACAgent(actor, critic).save_weights(str(tmp_path / "weights"))
    late = make(actor=keras.models.clone_model(actor), critic=critic_of())
    late.load_weights(str(tmp_path / "weights"))
    for rated in (late._twin, *late._targets):
        np.testing.assert_allclose(rated([inputs[0]], inputs[1]), expected, rtol=1e-5, atol=1e-5)


def test_the_twin_of_a_new_critic_of_the_users_is_another_draw():
    keras.utils.set_random_seed(0)
    agent = make(critic=critic_of())
    first, twin = agent._twin_variables()
    for own, other in zip(first[::2], twin[::2], strict=True):
        assert abs(np.corrcoef(own.numpy().ravel(), other.numpy().ravel())[0, 1]) < 0.5
        assert other.numpy().std() == pytest.approx(own.numpy().std(), rel=0.5)


def test_actions_are_even_until_learning_starts_and_greedy_ones_are_squashed_means():
    agent = make(learning_starts=40)
    observations = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
    even = agent.act_batch(observations)
    assert scipy.stats.kstest((even[:, 0] + 2) / 4, "uniform").pvalue > 1e-3
    assert agent.learn(play(agent, 0, length=39))["num_gradient_steps"] == 0
    assert agent._sampler.uniform
    assert agent.learn(play(agent, 1, length=6))["num_gradient_steps"] == 5
    assert not agent._sampler.uniform
    outputs = agent.model(observations).numpy()
    expected = np.tanh(outputs[:, :2]) * [2.0, 0.5] + [0.0, 0.5]
    policy = agent.policy()
    np.testing.assert_allclose(policy.act_batch(observations, greedy=True), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(agent.policy_model()(observations), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(agent.act_greedy(observations[0]), expected[0], rtol=1e-4, atol=1e-5)
    assert all(ACTIONS.contains(action) for action in policy.act_batch(observations)[:100])
    assert ACTIONS.contains(agent.act(observations[0]))


@pytest.mark.parametrize(("window", "num_envs"), [(1, None), (4, 3)])
def test_a_life_goes_on_bit_for_bit_from_its_state(window, num_envs):
    agent = make(seed=1)
    how = {"length": window, "num_envs": num_envs}
    play_on(agent, 0, 20, **how)
    state = agent.get_state("all")
    said, end = play_on(agent, 20, 30, **how)
    other = make(seed=2)
    other.set_state(state)
    said_again, end_again = play_on(other, 20, 30, **how)
    assert said == said_again
    assert said[-1]["num_gradient_steps"] > 0
    assert_same_arrays(end, end_again)
    assert {**end.meta, "architecture": None} == {**end_again.meta, "architecture": None}


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not():
    ends = [play_on(make(seed=3), 0, 2)[1] for _ in range(2)]
    assert_same_arrays(ends[0], ends[1])
    assert (
        make(seed=4).critic.trainable_variables[0].numpy() != make(seed=3).critic.trainable_variables[0].numpy()
    ).any()


def test_nothing_makes_it_trace_again():
    agent = make(learning_starts=0)
    agent.learn(play(agent, 0, length=1))
    agent.learn(play(agent, 1, length=7))
    traces = agent._loop.num_traces
    trial = agent.get_hyperparams()
    trial.params |= {"learning_rate": 1e-4, "gamma": 0.9, "tau": 0.01, "alpha": 0.1, "target_entropy": -1.0}
    agent.set_hyperparams(trial)
    rates = [float(optimizer.learning_rate.numpy()) for optimizer in agent._optimizers()]
    np.testing.assert_allclose(rates, 1e-4)
    for number, length in ((2, 1), (3, 5), (4, 1)):
        agent.learn(play(agent, number, length=length))
    assert agent._loop.num_traces == traces == 2
    assert set(agent.hyperparam_bounds()) == {"learning_rate", "gamma", "tau"}
    assert agent.bold_hyperparams().params["learning_rate"] == pytest.approx(1e-4 / 3)


@pytest.mark.parametrize("length", [1, 20])
def test_what_is_not_finite_changes_nothing(length):
    agent = make(learning_starts=0, params={"gradient_steps": 0})
    for number in range(3):
        agent.learn(play(agent, number, reward=lambda o, a: np.full(len(o), 3e38)))
    agent.set_hyperparams(HyperparamSet({}, 0))
    before = agent.get_state()
    with pytest.raises(NonFiniteError, match="as they were before this window"):
        agent.learn(play(agent, 3, length=length))
    assert_same_arrays(before, agent.get_state())


def test_scopes_and_files(tmp_path):
    agent = make()
    play_on(agent, 0, 2)
    names = [{name.split(".")[0] for name in agent.get_state(scope).arrays} for scope in ("policy", "learner", "all")]
    learner = {"optimizer_0", "optimizer_1", "optimizer_2", "critic", "twin", "target", "twin_target", "log_alpha"}
    assert names == [{"model"}, {"model"} | learner, {"model", "replay"} | learner]
    agent.save_weights(str(tmp_path / "saved"))
    other = make(seed=9, bound=False)
    other.load_weights(str(tmp_path / "saved"))
    assert_same_arrays(agent.get_state(), other.get_state())


def test_a_changed_world_empties_the_replay_and_keeps_the_weights():
    agent = make()
    play_on(agent, 0, 2)
    weights = agent.get_state()
    agent.on_world_change()
    assert len(agent.replay) == 0
    for name, array in agent.get_state().arrays.items():
        if not name.startswith("optimizer"):
            np.testing.assert_array_equal(array, weights.arrays[name])
    assert not agent._sampler.uniform
    agent.learn(play(agent, 2))


class OwnCritic(keras.Model):
    def __init__(self):
        super().__init__()
        self.body, self.head = keras.layers.Dense(8, "relu"), keras.layers.Dense(1)

    def call(self, inputs):
        observation, action = inputs
        return self.head(self.body(keras.ops.concatenate([observation, action], axis=-1)))


def functional_critic(observation_inputs):
    action = keras.Input((2,), name="action")
    parts = [*observation_inputs.values()] if isinstance(observation_inputs, dict) else [observation_inputs]
    joined = keras.layers.Concatenate()([*(keras.layers.Flatten()(p) for p in parts), action])
    inputs = {**observation_inputs, "action": action} if isinstance(observation_inputs, dict) else [*parts, action]
    return keras.Model(inputs, keras.layers.Dense(1)(joined))


@pytest.mark.parametrize("critic", [OwnCritic, lambda: functional_critic(keras.Input((4,)))])
def test_any_keras_models_learn(critic):
    actor = keras.Sequential([keras.layers.Dense(8, "tanh"), keras.layers.Dense(4)])
    agent = make(actor=actor, critic=critic(), optimizer=keras.optimizers.RMSprop())
    before = values_of([*agent.model.trainable_variables, *agent._critic_variables()])
    play_on(agent, 0, 2)
    after = values_of([*agent.model.trainable_variables, *agent._critic_variables()])
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("own", [False, True])
def test_dict_observations_with_images(own):
    space = gym.spaces.Dict(
        {"speed": gym.spaces.Box(-1, 1, (2,), np.float32), "image": gym.spaces.Box(0, 255, (6, 6, 1), np.uint8)}
    )
    arguments = {}
    if own:  # the critic looks only at the speed, the actor at both
        inputs = {"image": keras.Input((6, 6, 1), name="image"), "speed": keras.Input((2,), name="speed")}
        joined = keras.layers.Concatenate()([keras.layers.Flatten()(inputs["image"]), inputs["speed"]])
        actor = keras.Model(inputs, keras.layers.Dense(4)(joined))
        arguments = {"actor": actor, "critic": functional_critic({"speed": keras.Input((2,), name="speed")})}
    agent = SACAgent(**SMALL, **arguments)
    agent.bind(space, ACTIONS, seed=0)
    space.seed(0)
    rows = [space.sample() for _ in range(31)]
    stacked = {key: np.stack([row[key] for row in rows]) for key in ("speed", "image")}
    seen, after = ({key: x[part] for key, x in stacked.items()} for part in (slice(0, 30), slice(1, 31)))
    actions = np.stack([agent.act(row) for row in rows[:30]])
    flags = np.zeros(30, bool)
    said = agent.learn(EpisodeData(seen, actions, np.ones(30), flags, flags, [], 0, next_observations=after))
    assert said["num_gradient_steps"] == 20
    assert np.isfinite(said["loss"])


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (gym.spaces.Discrete(3), "DQNAgent or PPOAgent for Discrete"),
        (gym.spaces.Box(-np.inf, np.inf, (1,)), "PPOAgent for MultiDiscrete, MultiBinary or unbounded"),
        (gym.spaces.Box(0, 5, (1,), np.int32), "Box action space of floats"),
    ],
)
def test_spaces_that_cannot_be_served(space, names):
    with pytest.raises(UnsupportedSpaceError, match=f"(?s)SAC needs a Box.*{names}|{names}"):
        make(space)


def test_bad_arguments_are_named_before_the_first_step():
    with pytest.raises(InvalidArgumentError, match=r"SACAgent has no hyperparameter 'ent_coef'\. .*It reads: alpha"):
        make(params={"ent_coef": 0.1})
    with pytest.raises(InvalidArgumentError, match=r"alpha.*must be finite, > 0"):
        make(params={"alpha": 0.0})
    with pytest.raises(IncompatibleModelError, match=r"gives 2 outputs, but .* needs 4: a mean and a log"):
        make(actor=keras.Sequential([keras.layers.Dense(2)]))
    two = keras.Model(inputs := [keras.Input((4,)), keras.Input((2,))], keras.layers.Dense(2)(inputs[0]))
    with pytest.raises(IncompatibleModelError, match=r"must give one output of shape \(batch, 1\)"):
        make(critic=two)
    with pytest.raises(IncompatibleModelError, match="must take 2 inputs: the observation, then the action of 2"):
        make(critic=keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]))
    with pytest.raises(InvalidTypeError, match=r"must be a keras\.Model"):
        SACAgent(critic=lambda x: x)
    with pytest.raises(NotBoundError, match="SACAgent must know the spaces"):
        SACAgent().act(np.zeros(3))
    inputs = {"speed": keras.Input((2,), name="speed")}
    actor = keras.Model(inputs, keras.layers.Dense(4)(inputs["speed"]))
    critic = functional_critic({"image": keras.Input((3,), name="image")})
    space = gym.spaces.Dict({"speed": gym.spaces.Box(-1, 1, (2,)), "image": gym.spaces.Box(-1, 1, (3,))})
    with pytest.raises(IncompatibleModelError, match=r"The critic takes the part 'image'.* which the actor does not"):
        SACAgent(actor, critic, **SMALL).bind(space, ACTIONS)


def test_it_learns_the_identity():
    space = gym.spaces.Box(-2.0, 4.0, (1,), np.float32)
    params = {"learning_rate": 3e-3, "train_frequency": 4, "target_entropy": -2.0}
    agent = make(space, params=params, hidden_units=(32,), batch_size=64, learning_starts=128, buffer_size=5000)
    rng = np.random.default_rng(0)
    for number in range(40):
        seen = rng.uniform(-1, 1, (1, 32, 4)).astype(np.float32)
        actions = agent.act_batch(seen[0])[None]
        wanted = 1 + 2 * seen[:, :, 0]
        flags = np.ones((1, 32), bool)
        rewards = -np.abs(actions[..., 0] - wanted)
        agent.learn(EpisodeData(seen, actions, rewards, flags, ~flags, [], number, next_observations=seen))
    seen = rng.uniform(-1, 1, (200, 4)).astype(np.float32)
    error = np.abs(agent.policy().act_batch(seen, greedy=True)[:, 0] - (1 + 2 * seen[:, 0]))
    assert error.mean() < 0.35  # an action of no use is 1.2 away on average


def test_a_run_in_the_loop_and_its_champion_from_disk(tmp_path):
    env = gym.make("Pendulum-v1")
    agent = SACAgent(hyperparams=HyperparamSet({"train_frequency": 10}, 0), hidden_units=(16,), learning_starts=100)
    pipeline = BatchPipeline(env, window_size=50)
    result = RLOptimizer(
        agent, pipeline, checkpoint_dir=str(tmp_path), max_env_steps=800, seed=0, report_episodes=1
    ).run()
    loaded = load_agent(result.run_dir)
    assert isinstance(loaded, SACAgent)
    observations = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    for o in observations:
        np.testing.assert_array_equal(loaded.act_greedy(o), agent.act_greedy(o))


def test_a_dimension_of_no_width_is_its_bound_and_not_in_the_target_entropy():
    space = gym.spaces.Box(np.float32([-2, 3]), np.float32([2, 3]))
    agent = make(space, params={"learning_rate": 1e-2}, hidden_units=(16,))
    targets = []
    loop = agent._loop
    agent._loop = lambda feed, settings: targets.append(settings["target_entropy"]) or loop(feed, settings)
    before = agent.model.layers[-1].kernel.numpy()
    for number in range(4):
        agent.learn(play(agent, number, reward=lambda o, a: -(a[:, 0] ** 2)))
    assert set(targets) == {-1.0}
    moved = (agent.model.layers[-1].kernel.numpy() != before).any(axis=0)
    assert moved.tolist() == [True, False, True, False]
    seen = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    for actions in (agent.act_batch(seen), agent.policy().act_batch(seen, greedy=True), agent.policy_model()(seen)):
        assert (np.asarray(actions)[:, 1] == 3).all()


@pytest.mark.parametrize("bounds", [(-1e38, 1e38), (0.0, np.inf), (-np.inf, np.inf)])
def test_bounds_that_tell_no_scale_are_refused(bounds):
    with pytest.raises(UnsupportedSpaceError, match=r"finite bounds \(below 1e9\).*TransformAction"):
        make(gym.spaces.Box(*bounds, (1,)))
