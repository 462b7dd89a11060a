"""TFAgent learns what is trivial, quickly, in every kind of space, on its own loss and on a user's."""

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf
from agent_makers import CARTPOLE, actor, play_window
from crossed import crossed
from scipy import stats

from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.algorithms.dqn import DQNAgent
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.core.types import EpisodeData, HyperparamSet
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError


def bandit_window(agent, observe, reward, number, length=200):
    """Every step is an episode: the reward tells at once whether the action was right."""
    rng = np.random.default_rng([5, number])
    observations = observe(rng, length)
    actions = np.stack([np.asarray(agent.act(observation)) for observation in observations])
    always = np.ones(length, bool)
    return EpisodeData(
        observations,
        actions,
        reward(observations, actions),
        always,
        ~always,
        [],
        number,
        next_observations=observations,
    )


def greedy_reward(agent, observe, reward):
    observations = observe(np.random.default_rng(99), 300)
    actions = np.stack([np.asarray(agent.act_greedy(observation)) for observation in observations])
    return float(np.mean(reward(observations, actions)))


def signs(rng, length):
    return rng.normal(size=(length, 2)).astype(np.float32)


def states(rng, length):
    return rng.integers(0, 6, length)


CASES = {
    "discrete": (signs, gym.spaces.Discrete(2, start=3), 1, lambda o, a: (a - 3 == (o[:, 0] > 0)).astype(float), 0.95),
    "tiny rewards": (signs, gym.spaces.Discrete(2), 1, lambda o, a: 1e-6 * (a == (o[:, 0] > 0)), 0.95e-6),
    "huge rewards": (signs, gym.spaces.Discrete(2), 1, lambda o, a: 1e6 * (a == (o[:, 0] > 0)), 0.95e6),
    "box": (
        signs,
        gym.spaces.Box(np.array([0.0, -3.0], np.float32), np.array([8.0, 3.0], np.float32)),
        1,
        lambda o, a: -np.abs((a - [4.0, 0.0]) / [4.0, 3.0] - 0.5 * np.tanh(o)).mean(axis=1),
        -0.12,
    ),
    "box at its bound": (
        signs,
        gym.spaces.Box(-1.0, 1.0, (1,), np.float32),
        1,
        lambda o, a: a[:, 0] * np.sign(o[:, 0]),
        0.6,
    ),
    "discrete observations": (states, gym.spaces.Discrete(6), 6, lambda o, a: (a == o).astype(float), 0.95),
}


@pytest.mark.parametrize("case", CASES)
def test_it_learns_the_right_answers(case):
    observe, space, num_states, reward, wanted = CASES[case]
    keras.utils.set_random_seed(1)
    size = int(space.n) if isinstance(space, gym.spaces.Discrete) else int(np.prod(space.shape))
    if num_states > 1:
        layers = [keras.Input(()), keras.layers.Embedding(num_states, 16)]
        observation_space = gym.spaces.Discrete(num_states)
    else:
        layers, observation_space = [keras.Input((2,))], gym.spaces.Box(-9, 9, (2,), np.float32)
    model = keras.Sequential([*layers, keras.layers.Dense(32, activation="tanh"), keras.layers.Dense(size)])
    agent = TFAgent(model, keras.optimizers.Adam(3e-3), HyperparamSet({"learning_rate": 3e-3, "gamma": 0.0}, 0))
    agent.bind(observation_space, space, seed=1)
    for number in range(30):
        agent.learn(bandit_window(agent, observe, reward, number))
        if number % 5 == 4 and greedy_reward(agent, observe, reward) >= wanted:
            break
    assert greedy_reward(agent, observe, reward) >= wanted


def test_the_future_counts_as_far_as_gamma_says():
    """The action of the first step is paid at the second: with gamma 0 nothing is learned of it."""

    def learned(gamma):
        keras.utils.set_random_seed(1)
        agent = TFAgent(
            actor(2), keras.optimizers.Adam(1e-2), HyperparamSet({"learning_rate": 1e-2, "gamma": gamma}, 0)
        )
        agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=1)
        first, second = np.eye(4, dtype=np.float32)[:2]
        for number in range(15):
            observations = np.tile(np.stack([first, second]), (100, 1))
            actions = np.array([agent.act(observation) for observation in observations])
            rewards = np.zeros(200)
            rewards[1::2] = actions[::2]
            last = np.tile([False, True], 100)
            after = np.roll(observations, -1, axis=0)
            agent.learn(
                EpisodeData(observations, actions, rewards, last, ~last & False, [], number, next_observations=after)
            )
        logits = agent.model(first[None]).numpy()[0]
        return 1 / (1 + np.exp(logits[0] - logits[1]))

    assert learned(0.9) > 0.85
    assert learned(0.0) < 0.65


def test_vector_windows_teach_what_single_windows_teach():
    def agent():
        keras.utils.set_random_seed(0)
        made = TFAgent(actor(2), keras.optimizers.Adam(1e-3), HyperparamSet({"learning_rate": 1e-3}, 0))
        made.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
        return made

    single, vector = agent(), agent()
    window = play_window(single, 0, 30)
    assert single.learn(window) == vector.learn(
        EpisodeData(
            **{
                name: getattr(window, name)[:, None]
                for name in ("observations", "actions", "rewards", "terminated", "truncated", "next_observations")
            },
            infos=[],
            episode_id=0,
        )
    )


def test_steps_that_only_reset_teach_nothing():
    def learned(junk):
        agent = TFAgent(actor(2), keras.optimizers.Adam(1e-3), HyperparamSet({"learning_rate": 1e-3}, 0))
        agent.model.set_weights([np.full(w.shape, 0.1) for w in agent.model.get_weights()])
        agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
        window = play_window(agent, 0, 30)
        window.valid = np.ones(30, bool)
        window.valid[[7, 19]] = False
        window.truncated[[6, 18]] = True
        window.rewards[[7, 19]] = junk
        window.actions[[7, 19]] = int(junk > 0)
        return agent.learn(window)

    assert learned(1e6) == learned(-3.0)


def test_a_users_loss_gets_returns_and_is_minimised():
    seen = {}

    def loss_fn(model, window, returns):
        seen["returns"] = returns
        logits = model(window.observations)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=window.actions, logits=logits))

    agent = TFAgent(actor(2), keras.optimizers.Adam(1e-2), HyperparamSet({"gamma": 0.5}, 0), compute_loss_fn=loss_fn)
    agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
    window = play_window(agent, 0, 6)
    window.rewards = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    window.terminated = np.array([False, True, False, False, False, True])
    window.truncated = np.zeros(6, bool)
    losses = [agent.learn(window)["loss"] for _ in range(20)]
    np.testing.assert_allclose(seen["returns"], [2.0, 2.0, 4 + 4 + 4 + 4, 8 + 8 + 8, 16 + 16, 32.0])
    assert losses[-1] < losses[0]
    assert agent._learner._update.num_traces == 0
    assert agent.act_greedy(window.observations[0]) == int(agent.model(window.observations[:1]).numpy().argmax())


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda m, w, r: m(w.observations), InvalidTypeError, r"must return a scalar tensor. Received: shape"),
        (lambda m, w, r: 1.0, InvalidTypeError, r"must return a scalar tensor. Received: float"),
        (lambda m, w, r: tf.constant(1.0), InvalidTypeError, r"does not depend on the model"),
        (lambda m, w, r: tf.reduce_sum(m(w.observations)) * np.nan, NonFiniteError, r"gave a loss of nan at window 0"),
    ],
)
def test_a_users_loss_that_cannot_be_used_is_refused(loss, error, message):
    agent = TFAgent(actor(2), keras.optimizers.Adam(1e-2), HyperparamSet({}, 0), compute_loss_fn=loss)
    agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
    weights = agent.model.get_weights()
    with pytest.raises(error, match=message):
        agent.learn(play_window(agent, 0))
    assert all(np.array_equal(a, b) for a, b in zip(weights, agent.model.get_weights(), strict=True))


def test_dict_observations_reach_the_models_inputs():
    near, far = keras.Input((2,), name="near"), keras.Input((3,), name="far")
    hidden = keras.layers.Concatenate()([near, far])
    model = keras.Model({"near": near, "far": far}, keras.layers.Dense(2)(hidden))
    space = gym.spaces.Dict({"far": gym.spaces.Box(-1, 1, (3,)), "near": gym.spaces.Box(-1, 1, (2,))})
    agent = TFAgent(model, keras.optimizers.Adam(1e-2), HyperparamSet({}, 0))
    agent.bind(space, gym.spaces.Discrete(2), seed=0)
    rng = np.random.default_rng(0)
    observations = {name: rng.normal(size=(10, *part.shape)).astype(np.float32) for name, part in space.items()}
    actions = [agent.act({name: values[i] for name, values in observations.items()}) for i in range(10)]
    flags = np.zeros(10, bool)
    window = EpisodeData(
        observations, actions, rng.normal(size=10), flags, flags, [], 0, next_observations=observations
    )
    assert np.isfinite(agent.learn(window)["loss"])


def test_lists_without_successors_are_enough():
    agent = TFAgent(actor(2), keras.optimizers.Adam(1e-2), HyperparamSet({}, 0))
    window = play_window(agent, 0, 10) if agent.act(np.zeros(4, np.float32)) in (0, 1) else None
    window.next_observations = None
    for name in ("observations", "actions", "rewards", "terminated", "truncated"):
        setattr(window, name, list(getattr(window, name)))
    assert np.isfinite(agent.learn(window)["loss"])


def test_images_stay_bytes_until_they_reach_the_graph():
    layers = [
        keras.Input((6, 6, 1)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3),
        keras.layers.Flatten(),
    ]
    agent = TFAgent(keras.Sequential([*layers, keras.layers.Dense(2)]), keras.optimizers.Adam(), HyperparamSet({}, 0))
    space = gym.spaces.Box(0, 255, (6, 6, 1), np.uint8)
    agent.bind(space, gym.spaces.Discrete(2), seed=0)
    space.seed(0)
    images, flags = np.stack([space.sample() for _ in range(11)]), np.zeros(10, bool)
    actions = [agent.act(image) for image in images[:-1]]
    window = EpisodeData(images[:-1], actions, np.ones(10), flags, flags, [], 0, next_observations=images[1:])
    assert np.isfinite(agent.learn(window)["loss"])
    assert agent.get_state().arrays["learner.recent.observations_0"].dtype == np.uint8


@pytest.mark.parametrize(("kind", "num_envs"), crossed([TFAgent, PPOAgent], [None, 2]))
def test_what_others_did_is_no_choice_to_learn_from(kind, num_envs):
    """Two lives that differ in what others did, and in what they got for it, are one; only that nothing is learned."""
    ends, shape = [], (30,) if num_envs is None else (30, num_envs)
    for others_do in (0, 1):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, kernel_initializer="zeros")])
        params = HyperparamSet({"learning_rate": 1e-2}, 0)
        if kind is TFAgent:
            agent = TFAgent(model, keras.optimizers.Adam(), params)
        else:
            agent = PPOAgent(model, hyperparams=params, hidden_units=(4,), batch_size=16, jit_compile=False)
        agent.bind(gym.spaces.Box(-9.0, 9.0, (4,)), gym.spaces.Discrete(2), seed=1)
        for number in range(3):
            rng = np.random.default_rng(number)
            observations = rng.normal(size=(31, *shape[1:], 4)).astype(np.float32)
            is_other = rng.random(shape) < (0.3 if number < 2 else 2.0)
            window = EpisodeData(
                observations[:-1],
                np.where(is_other, others_do, rng.integers(0, 2, shape)),
                np.where(is_other, 100.0 * others_do, rng.normal(size=shape)),
                np.zeros(shape, bool),
                np.zeros(shape, bool),
                [],
                number,
                next_observations=observations[1:],
                action_log_probs=np.where(is_other, np.nan, np.log(0.5)),
            )
            before = [v.numpy() for v in agent.model.variables]
            said = agent.learn(window)
            assert all(np.isfinite(value) for value in said.values())
            moved = any((v.numpy() != b).any() for v, b in zip(agent.model.variables, before, strict=True))
            assert moved == (number < 2)
            assert (said["num_gradient_steps"] > 0) == (number < 2)
        ends.append(agent.get_state())
    for name, array in ends[0].arrays.items():
        if name not in ("learner.recent.actions", "learner.recent.log_probs"):
            np.testing.assert_array_equal(array, ends[1].arrays[name], err_msg=name)


def test_a_loss_of_the_users_is_told_which_steps_are_not_the_policys():
    told = []

    def loss(model, window, returns):
        told.append(window.valid)
        assert np.isfinite(returns).all()
        return keras.ops.sum(model(window.observations))

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, 0), loss)
    seen, zeros = np.zeros((3, 2), np.float32), np.zeros(3)
    for recorded in ([np.nan] * 3, [-0.5, np.nan, -0.5]):
        agent.learn(EpisodeData(seen, zeros, zeros, zeros, zeros, [], 0, action_log_probs=np.array(recorded)))
    assert [valid.tolist() for valid in told] == [[False] * 3, [True, False, True]]


PLACES = gym.spaces.Box(np.float32([-2.0, 5.0]), np.float32([2.0, np.inf]))


def box_agent(compute_loss_fn, action_space=PLACES, rate=2e-2):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(rate), HyperparamSet({"learning_rate": rate}, 0), compute_loss_fn)
    agent.bind(gym.spaces.Box(-1.0, 1.0, (2,)), action_space, seed=1)
    return agent


@pytest.mark.slow
def test_a_loss_of_the_users_learns_the_spread_that_it_depends_on():
    def loss(model, window, returns):
        weights = (returns - returns.mean()) / (returns.std() + 1e-8)
        return -tf.reduce_mean(agent.log_prob(model(window.observations), window.actions) * weights)

    def observe(rng, length):
        return rng.normal(size=(length, 2)).astype(np.float32)

    agent = box_agent(loss)
    for number in range(120):
        window = bandit_window(agent, observe, lambda o, a: -np.square(a - [1.0, 7.0]).sum(axis=1), number)
        said = agent.learn(window)
    assert said["grad_norm"] > 0
    np.testing.assert_allclose(agent.act_greedy(np.zeros(2, np.float32)), [1.0, 7.0], atol=0.4)
    spread = np.exp(agent.log_std.numpy())
    assert (spread < 0.45).all(), "an action that is known needs less of it"
    drawn = agent.act_batch(np.zeros((2000, 2), np.float32))
    np.testing.assert_allclose(drawn.std(axis=0), spread * [2.0, 1.0], rtol=0.15)


def test_what_it_is_told_is_the_density_that_scipy_gives():
    agent = box_agent(None)
    agent.log_std.assign(np.log(np.float32([0.5, 2.0])))
    outputs, actions = np.float32([[0.1, 0.2], [0.9, -0.3]]), np.float32([[1.0, 9.0], [2.0, 5.0]])
    inside = stats.norm.logpdf(0.5, 0.1, 0.5) + stats.norm.logpdf(3.0, 0.2, 2.0)
    at_bounds = stats.norm.logsf(1.0, 0.9, 0.5) + stats.norm.logcdf(-1.0, -0.3, 2.0)
    np.testing.assert_allclose(agent.log_prob(outputs, actions), [inside, at_bounds], rtol=1e-4)
    np.testing.assert_allclose(agent.log_prob(outputs, actions.reshape(2, 1, 2)), [inside, at_bounds], rtol=1e-4)
    choices = box_agent(None, gym.spaces.Discrete(2))
    assert choices.log_std is None
    expected = np.log(np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(choices.log_prob(outputs, [0, 1]), expected[[0, 1], [0, 1]], rtol=1e-5)


def test_a_loss_that_leaves_the_spread_out_says_so_once(caplog):
    agent = box_agent(lambda model, window, returns: tf.reduce_mean(model(window.observations)))
    for number in range(2):
        agent.learn(bandit_window(agent, lambda rng, n: np.zeros((n, 2), np.float32), lambda o, a: a[:, 0], number))
    assert caplog.text.count("does not depend on the spread of the actions, which stays at [0.6 0.6] units") == 1
    np.testing.assert_array_equal(agent.log_std.numpy(), np.log(np.float32([0.6, 0.6])))


def test_only_policies_that_gradients_reach_tell_how_likely_actions_are():
    agent = DQNAgent(hidden_units=(4,), buffer_size=100)
    agent.bind(gym.spaces.Box(-1.0, 1.0, (2,)), gym.spaces.Discrete(2), seed=1)
    assert agent.log_std is None
    with pytest.raises(InvalidTypeError, match="DQNAgent learns by a loss of its own"):
        agent.log_prob(np.zeros((1, 2)), [0])
