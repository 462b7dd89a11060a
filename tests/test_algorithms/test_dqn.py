"""DQN: its formulas against NumPy, its schedule, its state, and that it learns."""

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf
from off_policy_makers import VECTOR, assert_same_arrays, play, play_on

from tensor_optix.adapters.tensorflow.loading import load_agent
from tensor_optix.algorithms.dqn import METRICS, DQNAgent, huber, value_of_best
from tensor_optix.core.types import EpisodeData, HyperparamSet
from tensor_optix.exceptions import (
    IncompatibleModelError,
    InvalidArgumentError,
    InvalidTypeError,
    NonFiniteError,
    NotBoundError,
    StateMismatchError,
    UnsupportedSpaceError,
)
from tensor_optix.optimizer import RLOptimizer
from tensor_optix.pipeline.batch_pipeline import BatchPipeline

ACTIONS = gym.spaces.Discrete(3)
SMALL = {"batch_size": 8, "buffer_size": 500, "learning_starts": 40, "hidden_units": (16,)}


def make(space=ACTIONS, seed=1, params=None, bound=True, **arguments):
    agent = DQNAgent(hyperparams=HyperparamSet(params or {}, 0), **{**SMALL, **arguments})
    if bound:
        agent.bind(VECTOR, space, seed=seed)
    return agent


def q_values(variables, observations):
    """A one-hidden-layer network in NumPy."""
    w1, b1, w2, b2 = (v.numpy().astype(np.float64) for v in variables)
    return np.maximum(observations @ w1 + b1, 0) @ w2 + b2


def random_batch(rng, size=32, num_actions=3):
    return {
        "o_t_0": rng.normal(size=(size, 4)).astype(np.float32),
        "o_tpk_0": rng.normal(size=(size, 4)).astype(np.float32),
        "action": rng.integers(0, num_actions, size).astype(np.int32),
        "return": rng.normal(size=size).astype(np.float32) * 3,
        "discount": rng.choice([0.0, 0.9, 0.81], size).astype(np.float32),
        "weight": rng.random(size).astype(np.float32),
        "moves_target": np.array(False),
    }


@pytest.mark.parametrize("double", [True, False])
def test_loss_and_errors_are_those_of_a_slow_sum(double):
    agent, rng = make(double=double), np.random.default_rng(0)
    for variable in agent._target.variables:
        variable.assign(rng.normal(size=variable.shape))
    batch = random_batch(rng)
    _, metrics, errors = agent.compute(
        {name: tf.constant(x) for name, x in batch.items()}, {"max_grad_norm": tf.constant(1e6)}
    )
    online, after = (q_values(agent.model.trainable_variables, batch[f"{name}_0"]) for name in ("o_t", "o_tpk"))
    target = q_values(agent._target.variables, batch["o_tpk_0"])
    total, expected = 0.0, []
    for i in range(32):
        best = int(np.argmax(after[i] if double else target[i]))
        error = batch["return"][i] + batch["discount"][i] * target[i][best] - online[i][batch["action"][i]]
        expected.append(error)
        total += batch["weight"][i] * (0.5 * error**2 if abs(error) <= 1 else abs(error) - 0.5) / 32
    np.testing.assert_allclose(errors, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(metrics["td_error"], np.mean(np.abs(expected)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(metrics["q_mean"], online.mean(), rtol=1e-5, atol=1e-5)


def test_the_gradient_is_that_of_the_loss():
    agent, rng = make(), np.random.default_rng(1)
    batch = random_batch(rng)
    gradients, metrics, errors = agent.compute(
        {name: tf.constant(x) for name, x in batch.items()}, {"max_grad_norm": tf.constant(1e6)}
    )
    # Of the last bias: minus the mean over the batch of weight * clip(error), per action.
    slope = -batch["weight"] * np.clip(errors, -1, 1) / 32
    by_hand = np.array([slope[batch["action"] == a].sum() for a in range(3)])
    np.testing.assert_allclose(gradients[3], by_hand, rtol=1e-4, atol=1e-6)
    w1, b1, _, _ = (v.numpy() for v in agent.model.trainable_variables)
    hidden = np.maximum(batch["o_t_0"] @ w1 + b1, 0)
    kernel = np.stack([(slope * (batch["action"] == a)) @ hidden for a in range(3)], axis=1)
    np.testing.assert_allclose(gradients[2], kernel, rtol=1e-4, atol=1e-6)
    norm = np.sqrt(sum((np.asarray(g) ** 2).sum() for g in gradients))
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-5)
    clipped, again, _ = agent.compute(
        {name: tf.constant(x) for name, x in batch.items()}, {"max_grad_norm": tf.constant(norm / 2)}
    )
    np.testing.assert_allclose(clipped[2], kernel / 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(again["grad_norm"], norm, rtol=1e-5)


def test_huber_and_double_by_hand():
    np.testing.assert_allclose(huber(tf.constant([0.0, 0.5, -1.0, 3.0])), [0.0, 0.125, 0.5, 2.5])
    best = value_of_best(tf.constant([[1.0, 5.0], [2.0, 3.0]]), tf.constant([[9.0, 0.0], [0.0, 9.0]]))
    np.testing.assert_allclose(best, [1.0, 3.0])


def test_dueling_gives_value_plus_centred_advantage():
    agent = make(dueling=True)
    observations = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    values = agent.model(observations).numpy()
    *_, one, other = [layer for layer in agent.model.layers if isinstance(layer, keras.layers.Dense)]
    dense_v, dense_a = sorted((one, other), key=lambda layer: layer.units)
    trunk = keras.Model(agent.model.input, dense_v.input)(observations).numpy()
    v, a = (trunk @ d.kernel.numpy() + d.bias.numpy() for d in (dense_v, dense_a))
    np.testing.assert_allclose(values, v + a - a.mean(axis=1, keepdims=True), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("window", "frequency", "interval", "starts"), [(7, 2, 10, 0), (40, 4, 16, 50), (1, 3, 5, 4), (64, 1, 1000, 0)]
)
def test_gradient_steps_and_target_moves_come_with_env_steps(window, frequency, interval, starts):
    params = {
        "train_frequency": frequency,
        "gradient_steps": 2,
        "target_update_interval": interval,
        "learning_rate": 1e-3,
    }
    agent = make(params=params, learning_starts=starts)
    calls = []
    agent._update = lambda moves: calls.append(moves) or dict.fromkeys(METRICS, 0.0)
    env_steps = moved = 0
    for number in range(30):
        agent.learn(play(agent, number, length=window))
        env_steps += window
        assert agent._learner.env_steps == env_steps
        assert agent._learner.gradient_steps == max(0, env_steps - starts) // frequency * 2
        moved = sum(int(m.sum()) for m in calls)
    assert agent._learner.gradient_steps == sum(map(len, calls))
    # No more moves than intervals have passed, and one wherever a window with gradient steps passed some.
    assert moved <= env_steps // interval
    if frequency == 1 or window > frequency:
        expected = sum(
            min(len(m), (n + 1) * window // interval - n * window // interval)
            for n, m in zip(range(30 - len(calls), 30), calls, strict=True)
        )
        assert moved == expected


@pytest.mark.parametrize("num_envs", [None, 3])
@pytest.mark.parametrize(("interval", "frequency", "tau"), [(10, 2, 1.0), (10, 7, 1.0), (2, 7, 0.1), (1, 4, 0.2)])
def test_every_move_that_is_due_is_made_where_windows_are_of_one_step(num_envs, interval, frequency, tau):
    params = {"target_update_interval": interval, "train_frequency": frequency, "tau": tau, "learning_rate": 1e-2}
    agent = make(params=params, learning_starts=41)
    width = num_envs or 1
    target = [v.numpy() for v in agent._target.variables]
    num_moves, env_steps = 0, 0
    for number in range(90):
        rng = np.random.default_rng(number)
        observations = rng.normal(size=(2, *(() if num_envs is None else (num_envs,)), 4)).astype(np.float32)
        shape = observations.shape[1:-1]
        window = EpisodeData(
            observations[:1],
            rng.integers(0, 3, (1, *shape)),
            rng.normal(size=(1, *shape)),
            np.zeros((1, *shape), bool),
            np.zeros((1, *shape), bool),
            [],
            number,
            next_observations=observations[1:],
        )
        agent.learn(window)
        due = (env_steps + width) // interval - env_steps // interval
        env_steps += width
        for _ in range(due):
            target = [t + tau * (v.numpy() - t) for t, v in zip(target, agent.model.trainable_variables, strict=True)]
        num_moves += due if env_steps > 41 else 0
        for own, expected in zip(agent._target.variables, target, strict=True):
            np.testing.assert_allclose(own.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert num_moves >= 5


def test_the_target_moves_within_a_call():
    agent = make(params={"learning_rate": 1e-2})
    agent.replay.add(play(agent, 0))
    first = [v.numpy() for v in agent.model.trainable_variables]
    agent._update(np.zeros(5, bool))
    for before, target in zip(first, agent._target.variables, strict=True):
        np.testing.assert_array_equal(target.numpy(), before)
    agent._update(np.array([False, True, False]))
    online = [v.numpy() for v in agent.model.trainable_variables]
    assert all((t.numpy() != w).any() for t, w in zip(agent._target.variables, online, strict=True))
    agent._update(np.array([False, False, True]))
    for variable, target in zip(agent.model.trainable_variables, agent._target.variables, strict=True):
        np.testing.assert_array_equal(target.numpy(), variable.numpy())


def test_one_call_of_many_steps_is_many_calls_of_one():
    agents = [make(seed=4, params={"learning_rate": 1e-2, "tau": 0.3}) for _ in range(2)]
    rng = np.random.default_rng(2)
    batches = [random_batch(rng, size=8) for _ in range(6)]
    for i, batch in enumerate(batches):
        batch["moves_target"] = np.array(i % 2 == 0)
    settings = {"max_grad_norm": 10.0, "tau": 0.3}
    agents[0]._loop({name: np.stack([b[name] for b in batches]) for name in batches[0]}, settings)
    for batch in batches:
        agents[1]._loop({name: batch[name][None] for name in batch}, settings)
    left, right = ([v.numpy() for v in agent._variables()] for agent in agents)
    for x, y in zip(left, right, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_epsilon_falls_with_env_steps():
    agent = make(params={"epsilon_start": 0.9, "epsilon_end": 0.1, "epsilon_decay_steps": 160}, learning_starts=10**6)
    seen = [agent.learn(play(agent, number))["epsilon"] for number in range(6)]
    np.testing.assert_allclose(seen, [0.7, 0.5, 0.3, 0.1, 0.1, 0.1])
    never = make(params={"epsilon_decay_steps": 0, "epsilon_end": 0.2}, learning_starts=10**6)
    assert never.learn(play(never, 0))["epsilon"] == 0.2


def test_actions_are_epsilon_greedy_and_singly_the_same_as_in_batches():
    agent, twin = make(gym.spaces.Discrete(3, start=5)), make(gym.spaces.Discrete(3, start=5))
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(4000, 4)).astype(np.float32)
    for own in (agent, twin):
        own._sampler = own._sampler.with_epsilon(0.3)
    batch = agent.act_batch(observations)
    assert [twin.act(o) for o in observations[:50]] == batch[:50].tolist()
    assert isinstance(twin.act(observations[0]), int)
    greedy = agent.model(observations).numpy().argmax(axis=1) + 5
    np.testing.assert_allclose((batch != greedy).mean(), 0.3 * 2 / 3, atol=0.02)
    assert set(batch.tolist()) == {5, 6, 7}
    assert [agent.act_greedy(o) for o in observations[:50]] == greedy[:50].tolist()
    shares = np.where(batch == greedy, 0.7 + 0.1, 0.1)
    np.testing.assert_allclose(agent._sampler.log_prob(agent._forward(observations), batch), np.log(shares), rtol=1e-5)
    policy = agent.policy()
    np.testing.assert_array_equal(policy.act_batch(observations, greedy=True), greedy)
    np.testing.assert_allclose((policy.act_batch(observations) != greedy).mean(), 0.2, atol=0.03)
    np.testing.assert_array_equal(agent.policy_model()(observations).numpy(), greedy)


def test_no_hyperparameter_and_no_window_size_makes_it_trace_again():
    agent = make(learning_starts=0, params={"train_frequency": 10})
    agent.learn(play(agent, 0))
    agent.learn(play(agent, 1, length=10))
    traces = agent._loop.num_traces
    trial = agent.get_hyperparams()
    for name, spec in agent.hyperparam_bounds().items():
        trial.params[name] = spec.from_latent(0.5 * (spec.to_latent(spec.low) + spec.to_latent(spec.high)))
    trial.params |= {"tau": 0.5, "max_grad_norm": 1.0, "gradient_steps": 3}
    agent.set_hyperparams(trial)
    for number, length in ((2, 40), (3, 10), (4, 33)):
        agent.learn(play(agent, number, length=length))
    assert agent._loop.num_traces == traces == 2
    assert agent.get_hyperparams().params == trial.params
    assert float(agent.optimizer.learning_rate.numpy()) == pytest.approx(trial.params["learning_rate"])


@pytest.mark.parametrize("num_envs", [None, 3])
@pytest.mark.parametrize("prioritised", [False, True])
def test_a_life_goes_on_bit_for_bit_from_its_state(num_envs, prioritised):
    arguments = {"prioritised": prioritised, "buffer_size": 300}
    agent = make(seed=1, **arguments)
    play_on(agent, 0, 4, num_envs=num_envs)
    state = agent.get_state("all")
    said, end = play_on(agent, 4, 9, num_envs=num_envs)
    other = make(seed=2, **arguments)
    other.set_state(state)
    said_again, end_again = play_on(other, 4, 9, num_envs=num_envs)
    assert said == said_again
    assert_same_arrays(end, end_again)
    assert {**end.meta, "architecture": None} == {**end_again.meta, "architecture": None}


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not():
    ends = [play_on(make(seed=seed), 0, 4)[1] for seed in (3, 3, 4)]
    assert_same_arrays(ends[0], ends[1])
    assert any((ends[0].arrays[f"model.{i}"] != ends[2].arrays[f"model.{i}"]).any() for i in range(4))


def test_scopes_and_files(tmp_path):
    agent = make()
    play_on(agent, 0, 3)
    sizes = [{name.split(".")[0] for name in agent.get_state(scope).arrays} for scope in ("policy", "learner", "all")]
    assert sizes == [{"model"}, {"model", "optimizer_0", "target"}, {"model", "optimizer_0", "target", "replay"}]
    agent.save_weights(str(tmp_path / "saved"))
    other = make(seed=9, bound=False)
    other.load_weights(str(tmp_path / "saved"))
    assert_same_arrays(agent.get_state(), other.get_state())
    held = len(agent.replay)
    agent.set_state(agent.get_state("policy"))
    assert len(agent.replay) == held
    smaller = make(buffer_size=400)
    before = smaller.get_state()
    with pytest.raises(StateMismatchError, match="replay does not fit: capacity 500"):
        smaller.set_state(agent.get_state("all"))
    assert_same_arrays(before, smaller.get_state())


def test_what_is_not_finite_changes_nothing():
    agent = make(learning_starts=0)
    agent.learn(play(agent, 0))
    before = agent.get_state()
    window = play(agent, 1)
    window.rewards[7] = np.nan
    with pytest.raises(NonFiniteError, match="reward is NaN or infinite, the first at step 7"):
        agent.learn(window)
    assert_same_arrays(before, agent.get_state())
    window = play(agent, 1, reward=lambda o, a: np.full(len(o), 3e38))
    with pytest.raises(NonFiniteError, match="A loss or gradient became NaN or infinite"):
        agent.learn(window)
    for name, array in agent.get_state().arrays.items():
        np.testing.assert_array_equal(array, before.arrays[name])


def test_a_window_learned_in_several_calls_is_undone_as_a_whole():
    agent = make(learning_starts=0, params={"train_frequency": 4})
    agent._batches_per_call = lambda: 3
    said = agent.learn(play(agent, 0))
    assert said["num_gradient_steps"] == 10
    before, calls, update = agent.get_state(), [], agent._update

    def breaks_at_last(moves_target):
        calls.append(len(moves_target))
        if len(calls) == 4:
            raise NonFiniteError("the last of four")
        return update(moves_target)

    agent._update = breaks_at_last
    with pytest.raises(NonFiniteError, match="the last of four"):
        agent.learn(play(agent, 1))
    assert calls == [3, 3, 3, 1]
    assert_same_arrays(before, agent.get_state())


def test_a_changed_world_empties_the_replay_and_explores_again():
    agent = make(learning_starts=0, params={"epsilon_decay_steps": 100, "epsilon_end": 0.0})
    play_on(agent, 0, 5)
    weights = agent.get_state("policy")
    agent.on_world_change()
    assert len(agent.replay) == 0
    assert agent._sampler.epsilon == 0.5
    assert not any(v.numpy().any() for v in agent.optimizer._momentums)
    assert_same_arrays(weights, agent.get_state("policy"))
    assert agent.get_hyperparams().params["learning_rate"] == 5e-4
    agent.learn(play(agent, 5))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.body = keras.layers.Dense(8, "relu")
        self.head = keras.layers.Dense(3)

    def call(self, inputs):
        return self.head(self.body(inputs))


def models():
    yield "sequential", lambda: keras.Sequential([keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)])
    inputs = keras.Input((4,))
    yield "functional", lambda: keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dropout(0.5)(inputs)))
    yield "subclassed", Subclassed


@pytest.mark.parametrize("model", [pytest.param(make_model, id=name) for name, make_model in models()])
def test_any_keras_model_learns(model):
    agent = make(model=model(), optimizer=keras.optimizers.RMSprop(), learning_starts=0)
    before = [v.numpy() for v in agent.model.trainable_variables]
    agent.learn(play(agent, 0))
    assert all((v.numpy() != w).any() for v, w in zip(agent.model.trainable_variables, before, strict=True))
    seen = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(agent.policy().act_batch(seen, greedy=True), agent.model(seen).numpy().argmax(axis=1))


@pytest.mark.parametrize("own", [True, False])
def test_images_stay_bytes_until_the_graph(own):
    space = gym.spaces.Box(0, 255, (12, 12, 2), np.uint8)
    model = None
    if own:  # takes float32 and rescales itself
        layers = [
            keras.Input((12, 12, 2)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
        model = keras.Sequential(layers)
    agent = DQNAgent(model, **{**SMALL, "learning_starts": 0})
    agent.bind(space, ACTIONS, seed=0)
    frames = np.random.default_rng(0).integers(0, 256, (21, 12, 12, 2), dtype=np.uint8)
    window = EpisodeData(
        frames[:-1], np.zeros(20, np.int64), np.ones(20), np.zeros(20, bool), np.zeros(20, bool), [], 0,
        next_observations=frames[1:],
    )  # fmt: skip
    agent.learn(window)
    assert agent.replay.sample(3).observations.dtype == np.uint8
    (learn,) = agent._loop._functions.values()
    assert learn.structured_input_signature[0][0].dtype == tf.uint8


@pytest.mark.parametrize("kind", ["dict", "tuple", "discrete"])
def test_structured_observations(kind):
    image, vector = gym.spaces.Box(0, 255, (6, 6, 1), np.uint8), gym.spaces.Box(-1, 1, (2,), np.float32)
    space = {
        "dict": gym.spaces.Dict({"vector": vector, "image": image}),
        "tuple": gym.spaces.Tuple((vector, gym.spaces.Discrete(4))),
        "discrete": gym.spaces.Discrete(5),
    }[kind]
    agent = DQNAgent(**{**SMALL, "learning_starts": 0})
    agent.bind(space, ACTIONS, seed=0)
    space.seed(0)
    rows = [space.sample() for _ in range(21)]

    def stack(part):
        if kind == "dict":
            return {key: np.stack([row[key] for row in part]) for key in part[0]}
        return tuple(map(np.stack, zip(*part, strict=True))) if kind == "tuple" else np.stack(part)

    window = EpisodeData(
        stack(rows[:-1]), np.zeros(20, np.int64), np.ones(20), np.zeros(20, bool), np.zeros(20, bool), [], 0,
        next_observations=stack(rows[1:]),
    )  # fmt: skip
    assert agent.act(rows[0]) in (0, 1, 2)
    assert np.isfinite(agent.learn(window)["loss"])


def test_it_acts_without_being_bound_where_a_model_tells_the_actions():
    agent = DQNAgent(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), **SMALL)
    assert agent.act(np.zeros(4, np.float32)) in (0, 1, 2)
    agent.learn(play(agent, 0))
    with pytest.raises(NotBoundError, match="DQNAgent must know the spaces"):
        DQNAgent().act(np.zeros(4, np.float32))


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (gym.spaces.Box(-1, 1, (2,)), "SACAgent or PPOAgent"),
        (gym.spaces.MultiDiscrete([2, 2]), "PPOAgent for MultiDiscrete"),
    ],
)
def test_spaces_that_cannot_be_served(space, names):
    with pytest.raises(UnsupportedSpaceError, match=f"DQN needs a Discrete action space.*{names}"):
        make(space)


def test_bad_arguments_are_named_before_the_first_step():
    with pytest.raises(InvalidArgumentError, match=r"no hyperparameter 'epsilon_ends'\. Did you mean 'epsilon_end'"):
        make(params={"epsilon_ends": 0.1})
    with pytest.raises(InvalidArgumentError, match=r"hyperparams.params\['gamma'\]` must be finite, >= 0.0 and <= 1.0"):
        make(params={"gamma": 1.5})
    with pytest.raises(InvalidTypeError, match="train_frequency"):
        make(params={"train_frequency": 2.5})
    with pytest.raises(InvalidTypeError, match="`hyperparams` must be a HyperparamSet"):
        DQNAgent(hyperparams={"gamma": 0.9})
    for name in ("batch_size", "buffer_size", "num_steps"):
        with pytest.raises(InvalidArgumentError, match=f"`{name}` must be an integer >= 1"):
            DQNAgent(**{name: 0})
    with pytest.raises(InvalidArgumentError, match="`learning_starts`"):
        DQNAgent(learning_starts=-1)
    with pytest.raises(InvalidArgumentError, match="`hidden_units"):
        DQNAgent(hidden_units=(0,))
    with pytest.raises(IncompatibleModelError, match=r"gives 2 outputs, but Discrete\(3\) needs 3"):
        make(model=keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(IncompatibleModelError, match="shape"):
        make(model=keras.Sequential([keras.Input((7,)), keras.layers.Dense(3)]))
    with pytest.raises(InvalidTypeError, match=r"must be a keras\.Model"):
        DQNAgent(lambda x: x)


def test_a_replay_that_does_not_fit_says_how_much_it_would_take():
    agent = DQNAgent(buffer_size=10**9)
    with pytest.raises(
        InvalidArgumentError, match=r"buffer_size=1000000000 would take \d+\.\d GiB, but .*buffer_size="
    ):
        agent.bind(gym.spaces.Box(0, 255, (84, 84, 4), np.uint8), ACTIONS)


def identity_window(agent, number, num_envs=64):
    """One step of a bandit with four contexts: only the matching action is rewarded."""
    rng = np.random.default_rng([6, number])
    seen = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (1, num_envs))]
    actions = agent.act_batch(seen[0])[None]
    flags = np.ones((1, num_envs), bool)
    return EpisodeData(
        seen, actions, (seen.argmax(axis=-1) == actions - 2) * 1.0, flags, ~flags, [], number, next_observations=seen
    )


@pytest.mark.parametrize("arguments", [{}, {"dueling": True, "prioritised": True}, {"double": False, "num_steps": 1}])
def test_it_learns_the_identity(arguments):
    params = {"learning_rate": 1e-2, "epsilon_decay_steps": 500, "target_update_interval": 64, "train_frequency": 4}
    agent = make(gym.spaces.Discrete(4, start=2), params=params, learning_starts=64, **arguments)
    for number in range(15):
        agent.learn(identity_window(agent, number))
    assert [agent.act_greedy(o) for o in np.eye(4, dtype=np.float32)] == [2, 3, 4, 5]
    np.testing.assert_allclose(agent.model(np.eye(4, dtype=np.float32)).numpy(), np.eye(4), atol=0.35)


def test_observations_are_normalised_alike_in_acting_learning_and_export(tmp_path):
    agent = make(normalize_observations=True, learning_starts=0)
    shifted = [play(agent, number) for number in range(3)]
    for window in shifted:
        window.observations, window.next_observations = window.observations * 9 + 5, window.next_observations * 9 + 5
        agent.learn(window)
    seen = np.concatenate([window.observations for window in shifted])
    z = np.clip((seen - seen.mean(axis=0)) / seen.std(axis=0), -10, 10)
    expected = q_values(agent.model.trainable_variables, z)
    np.testing.assert_allclose(agent._forward(seen), expected, rtol=1e-4, atol=1e-4)
    learned_from = agent._outputs(agent._prepared({"o_t_0": tf.constant(seen)}, "o_t"))
    np.testing.assert_allclose(learned_from, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(agent.policy_model()(seen).numpy(), expected.argmax(axis=1))
    agent.save_weights(str(tmp_path / "saved"))
    other = make(normalize_observations=True, seed=8)
    other.load_weights(str(tmp_path / "saved"))
    assert [other.act_greedy(o) for o in seen] == expected.argmax(axis=1).tolist()


def test_binding_one_that_only_acted_starts_afresh_with_the_new_seed():
    agent = make(seed=1, learning_starts=0)
    play(agent, 0)
    agent.bind(VECTOR, ACTIONS, seed=2)
    assert_same_arrays(agent.get_state("all"), make(seed=2, learning_starts=0).get_state("all"))


def test_a_run_in_the_loop_and_its_champion_from_disk(tmp_path):
    env = gym.make("CartPole-v1")
    agent = DQNAgent(hyperparams=HyperparamSet({"train_frequency": 8}, 0), hidden_units=(16,), learning_starts=100)
    pipeline = BatchPipeline(env, window_size=100)
    result = RLOptimizer(
        agent, pipeline, checkpoint_dir=str(tmp_path), max_env_steps=600, seed=0, report_episodes=2
    ).run()
    loaded = load_agent(result.run_dir)
    assert isinstance(loaded, DQNAgent)
    assert (loaded.hidden_units, loaded.learning_starts) == ((16,), 100)
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(20, 4)).astype(np.float32)
    assert [loaded.act_greedy(o) for o in observations] == [agent.act_greedy(o) for o in observations]
    loaded.learn(play(loaded, 0))


def test_a_learner_that_owes_more_than_a_window_leaves_over_is_refused():
    """Each env step owed is a gradient step of the next `learn`: an altered file could make it never end."""
    agent = make()
    play_on(agent, 0, 3)
    state, before = agent.get_state(), agent.get_state()
    state.meta["learner"]["progress"]["_credit_steps"] = 2**40
    with pytest.raises(StateMismatchError, match="1099511627776 env steps to learn from"):
        agent.set_state(state)
    assert_same_arrays(before, agent.get_state())
