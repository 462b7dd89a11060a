"""What users and the loop may rely on: spaces, models, hyperparameters, KL control, checks."""

import gymnasium as gym
import keras
import numpy as np
import pytest
from crossed import crossed
from ppo_makers import ACTION_SPACES, VECTOR, make_agent, network, play_window

from tensor_optix.algorithms import ppo
from tensor_optix.algorithms.ppo import SETTINGS, PPOAgent, pays_to_compile
from tensor_optix.core.types import EpisodeData, HyperparamSet
from tensor_optix.exceptions import (
    IncompatibleModelError,
    InvalidArgumentError,
    InvalidTypeError,
    NonFiniteError,
    NotBoundError,
    UnsupportedSpaceError,
)

OBSERVATION_SPACES = {
    "vector": VECTOR,
    "matrix": gym.spaces.Box(-1.0, 1.0, (2, 3)),
    "image": gym.spaces.Box(0, 255, (8, 8, 1), np.uint8),
    "grey": gym.spaces.Box(0, 255, (10, 12), np.uint8),
    "stacked": gym.spaces.Box(0, 255, (4, 40, 40), np.uint8),
    "discrete": gym.spaces.Discrete(6, start=1),
    "multi_discrete": gym.spaces.MultiDiscrete([3, 5]),
    "bits": gym.spaces.MultiBinary(5),
    "dict": gym.spaces.Dict({"seen": gym.spaces.Discrete(3), "at": gym.spaces.Box(-1.0, 1.0, (2,))}),
    "tuple": gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Box(0, 255, (8, 8, 1), np.uint8)]),
}


def stacked(samples):
    first = samples[0]
    if isinstance(first, dict):
        return {key: stacked([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple):
        return tuple(stacked(list(parts)) for parts in zip(*samples, strict=True))
    return np.stack([np.asarray(sample) for sample in samples])


def window_in(space, agent, length=12):
    space.seed(0)
    samples = [space.sample() for _ in range(length + 1)]
    flags = np.zeros(length, bool)
    actions = np.stack([np.asarray(agent.act(sample)) for sample in samples[:-1]])
    rewards = np.arange(length, dtype=float)
    after = stacked(samples[1:])
    return EpisodeData(stacked(samples[:-1]), actions, rewards, flags, flags, [], 0, next_observations=after)


@pytest.mark.parametrize("name", OBSERVATION_SPACES)
def test_it_brings_its_own_networks_for_any_observation(name):
    space = OBSERVATION_SPACES[name]
    agent = make_agent(observation_space=space)
    diagnostics = agent.learn(window_in(space, agent))
    assert all(np.isfinite(value) for value in diagnostics.values())
    assert agent.act(space.sample()) in (2, 3, 4)


@pytest.mark.parametrize("name", ACTION_SPACES)
def test_actions_are_what_the_environment_takes(name):
    space = ACTION_SPACES[name]
    agent = make_agent(space)
    agent.learn(play_window(agent, 0))
    observation = VECTOR.sample()
    for action in [agent.act(observation) for _ in range(30)] + [agent.act_greedy(observation)]:
        assert space.contains(action)
    assert all(space.contains(action) for action in agent.act_batch(np.stack([VECTOR.sample()] * 5)))
    assert isinstance(agent.act(observation), int) == (name == "discrete")


@pytest.mark.parametrize("name", ACTION_SPACES)
def test_policy_and_export_act_as_the_agent_does(name):
    agent = make_agent(ACTION_SPACES[name])
    agent.learn(play_window(agent, 0))
    observations = np.random.default_rng(1).normal(2.0, 3.0, (20, 4)).astype(np.float32)
    greedy = np.stack([np.asarray(agent.act_greedy(observation)) for observation in observations])
    np.testing.assert_allclose(agent.policy().act_batch(observations, greedy=True), greedy, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(agent.policy_model()(observations), greedy, rtol=1e-4, atol=1e-5)


def test_the_normaliser_is_that_of_the_observations_seen():
    agent = make_agent()
    windows = [play_window(agent, number) for number in range(3)]
    for window in windows:
        agent.learn(window)
    seen = np.concatenate([window.observations for window in windows]).astype(np.float64)
    x = np.array([1.0, 2.0, 3.0, 1e6], np.float32)
    normalised = np.clip((x - seen.mean(axis=0)) / seen.std(axis=0), -10, 10)
    expected = agent.model(normalised[None].astype(np.float32)).numpy()[0]
    np.testing.assert_allclose(agent._forward.one(x), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(agent._acting_model(x[None])[0], expected, rtol=1e-3, atol=1e-4)


def test_without_a_normaliser_the_actor_itself_acts():
    agent = make_agent(normalize_observations=False)
    assert agent._acting_model is agent.model
    agent.learn(play_window(agent, 0))
    x = np.array([1.0, 2.0, 3.0, 1e3], np.float32)
    np.testing.assert_allclose(agent._forward.one(x), agent.model(x[None])[0], rtol=1e-4, atol=1e-4)


class TestModels:
    def test_actor_and_critic_of_the_user_are_what_learns(self):
        models = network(4, 3), network(4, 1), keras.optimizers.RMSprop(1e-2)
        before = [model.get_weights() for model in models[:2]]
        agent = make_agent(models=models, params={"learning_rate": 1e-2})
        agent.learn(play_window(agent, 0))
        assert (agent.model, agent.critic, agent.optimizer) == models
        for model, weights in zip(models[:2], before, strict=True):
            assert all((a != b).any() for a, b in zip(model.get_weights(), weights, strict=True))

    def test_one_model_with_two_outputs(self):
        x = keras.Input((4,))
        hidden = keras.layers.Dense(8, activation="tanh")(x)
        model = keras.Model(x, [keras.layers.Dense(3)(hidden), keras.layers.Dense(1)(hidden)])
        agent = make_agent(models=(model,))
        assert agent.critic is None
        assert agent._forward.kind == "numpy"
        before = model.get_weights()
        agent.learn(play_window(agent, 0))
        assert all((a != b).any() for a, b in zip(model.get_weights(), before, strict=True))

    def test_subclassed_models(self):
        class Net(keras.Model):
            def __init__(self, size):
                super().__init__()
                self.hidden, self.out = keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(size)

            def call(self, x):
                return self.out(self.hidden(x))

        agent = make_agent(models=(Net(3), Net(1)))
        agent.learn(play_window(agent, 0))
        twin = make_agent(models=(Net(3), Net(1)))
        twin.set_state(agent.get_state())
        x = np.ones(4, np.float32)
        np.testing.assert_array_equal(agent._forward.one(x), twin._forward.one(x))

    def test_the_parts_of_a_dict_go_where_they_belong(self):
        space = OBSERVATION_SPACES["dict"]
        at, seen = keras.Input((2,), name="at"), keras.Input((1,), name="seen", dtype="int32")
        code = keras.layers.Flatten()(keras.layers.Embedding(3, 4)(seen))
        actor = keras.Model({"seen": seen, "at": at}, keras.layers.Dense(3)(keras.layers.Concatenate()([code, at])))
        place = keras.Input((2,), name="at")
        critic = keras.Model({"at": place}, keras.layers.Dense(1)(place))
        agent = make_agent(observation_space=space, models=(actor, critic))
        agent.learn(window_in(space, agent))
        assert agent.act(space.sample()) in (2, 3, 4)

    def test_an_actor_alone_gets_a_critic(self):
        agent = make_agent(models=(network(4, 3),))
        assert agent.critic.output_shape == (None, 1)

    @pytest.mark.parametrize(
        ("actor", "critic", "message"),
        [
            (network(4, 2), network(4, 1), r"must give one output of shape \(batch, 3\): one logit per action"),
            (network(5, 3), network(4, 1), "cannot run on an observation|takes observation"),
            (network(4, 3), network(4, 2), r"Critic .* must give one output of shape \(batch, 1\)"),
        ],
    )
    def test_models_that_do_not_fit_are_errors_before_the_first_step(self, actor, critic, message):
        with pytest.raises(IncompatibleModelError, match=message):
            make_agent(models=(actor, critic))

    def test_a_critic_may_not_see_more_than_the_actor(self):
        at = keras.Input((2,), name="at")
        actor = keras.Model({"at": at}, keras.layers.Dense(3)(at))
        one, seen = keras.Input((2,), name="at"), keras.Input((1,), name="seen")
        critic = keras.Model({"at": one, "seen": seen}, keras.layers.Dense(1)(keras.layers.Concatenate()([one, seen])))
        with pytest.raises(IncompatibleModelError, match="takes the part 'seen' of an observation, which the actor"):
            make_agent(observation_space=OBSERVATION_SPACES["dict"], models=(actor, critic))


class TestHyperparameters:
    def test_changing_them_never_retraces(self):
        agent = make_agent(params={"num_epochs": 3})
        agent.learn(play_window(agent, 0))
        for k, (name, spec) in enumerate(agent.hyperparam_bounds().items(), start=1):
            for value in (spec.low, spec.high):
                params = {**agent.get_hyperparams().params, name: value}
                agent.set_hyperparams(HyperparamSet(params, k))
                agent.learn(play_window(agent, k, 24))
        agent.set_hyperparams(HyperparamSet({"kl_target": None, "max_grad_norm": None}, 99))
        agent.learn(play_window(agent, 99, 40))
        assert agent._learner._update.num_traces == 2, "what rates a window, and what learns from it"

    def test_all_have_defaults_under_the_usual_names(self):
        params = PPOAgent().get_hyperparams().params
        assert set(params) == set(SETTINGS) == {*PPOAgent().hyperparam_bounds(), "entropy_coef"}
        assert params["learning_rate"] == 3e-4

    def test_an_unknown_name_is_an_error_that_names_the_nearest(self):
        with pytest.raises(InvalidArgumentError, match=r"no hyperparameter 'clip_ration'. Did you mean 'clip_ratio'"):
            PPOAgent(hyperparams=HyperparamSet({"clip_ration": 0.1}, 0))

    @pytest.mark.parametrize(("name", "value"), [("gamma", 1.5), ("num_epochs", 0), ("clip_ratio", None)])
    def test_a_value_out_of_range_is_an_error(self, name, value):
        with pytest.raises((InvalidArgumentError, InvalidTypeError), match=name):
            PPOAgent(hyperparams=HyperparamSet({name: value}, 0))

    def test_the_bold_trial_is_a_smaller_step(self):
        agent = make_agent(params={"entropy_coef": 0.01})
        trial = agent.bold_hyperparams().params
        assert trial["learning_rate"] == pytest.approx(1e-4)
        assert trial["entropy_coef"] == 0.0
        agent.set_hyperparams(agent.bold_hyperparams())


class TestKLControl:
    def test_a_step_too_far_ends_the_update_and_lowers_the_rate(self):
        agent = make_agent(params={"learning_rate": 0.3, "num_epochs": 20, "kl_target": 0.01})
        first = agent.learn(play_window(agent, 0, 64))
        assert first["num_gradient_steps"] < 80
        assert first["kl"] > 0.02
        assert agent.learn(play_window(agent, 1, 64))["kl_factor"] < 1.0

    def test_one_odd_minibatch_does_not_end_an_update(self, monkeypatch):
        params = {"learning_rate": 0.01, "num_epochs": 20, "kl_target": 0.01}
        averaged = make_agent(params=params).learn(play_window(make_agent(), 0, 64))["num_gradient_steps"]
        monkeypatch.setattr(ppo, "KL_ROWS", 1)
        alone = make_agent(params=params).learn(play_window(make_agent(), 0, 64))["num_gradient_steps"]
        assert alone < averaged < 80

    def test_a_step_too_short_raises_the_rate(self):
        agent = make_agent(params={"learning_rate": 1e-6})
        factors = [agent.learn(play_window(agent, number))["kl_factor"] for number in range(3)]
        assert factors[0] < factors[1] < factors[2]

    @pytest.mark.parametrize("off", [None, 0.0])
    def test_it_can_be_off(self, off):
        agent = make_agent(params={"learning_rate": 0.3, "num_epochs": 20, "kl_target": off})
        for number in range(2):
            diagnostics = agent.learn(play_window(agent, number, 64))
            assert diagnostics["num_gradient_steps"] == 80
            assert diagnostics["learning_rate"] == 0.3


class TestBadInput:
    def test_an_action_space_that_cannot_be_served(self):
        with pytest.raises(UnsupportedSpaceError, match="Discrete, MultiDiscrete, MultiBinary, or a Box of floats"):
            make_agent(gym.spaces.Text(3))

    def test_acting_and_learning_need_bind(self):
        agent = PPOAgent()
        with pytest.raises(NotBoundError, match="Call bind"):
            agent.act(np.zeros(4))
        with pytest.raises(NotBoundError, match="Call bind"):
            agent.learn(play_window(make_agent(), 0))

    @pytest.mark.parametrize(("field", "value"), [("observations", np.nan), ("rewards", np.inf)])
    def test_what_is_not_finite_is_named_and_not_learned(self, field, value):
        agent = make_agent()
        agent.learn(play_window(agent, 0))
        before = agent.get_state()
        window = play_window(agent, 1)
        getattr(window, field)[3] = value
        noise = agent.get_state().meta["noise"]
        with pytest.raises(NonFiniteError, match=field[:-1]):
            agent.learn(window)
        assert_same_but_for(before, agent.get_state(), noise)

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_a_gradient_that_is_not_finite_changes_nothing(self, jit_compile):
        agent = make_agent(scale_rewards=False, jit_compile=jit_compile)
        agent.learn(play_window(agent, 0))
        window = play_window(agent, 1, rewards=np.full(24, 1e25))
        before, noise = agent.get_state(), agent.get_state().meta["noise"]
        with pytest.raises(NonFiniteError, match="loss or gradient"):
            agent.learn(window)
        assert_same_but_for(before, agent.get_state(), noise)
        assert agent.policy().version == 1, "an update that was undone makes no policy"
        agent.learn(play_window(agent, 2))
        assert agent.policy().version == 2

    def test_wrong_types(self):
        with pytest.raises(InvalidTypeError, match="batch_size"):
            PPOAgent(batch_size=2.5)
        with pytest.raises(InvalidTypeError, match=r"must be a keras\.Model"):
            PPOAgent(critic="critic")
        with pytest.raises(InvalidArgumentError, match="jit_compile"):
            PPOAgent(jit_compile="sometimes")


def assert_same_but_for(before, after, noise):
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[name], err_msg=name)
    assert after.meta["learner"] == before.meta["learner"]
    assert after.meta["noise"] == noise


def test_small_dense_networks_are_compiled_and_large_ones_are_not():
    small, large = network(4, 2), network(4, 2, keras.layers.Dense(2048), keras.layers.Dense(2048))
    image = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3)])
    assert pays_to_compile(small.trainable_variables, 64)
    assert not pays_to_compile(large.trainable_variables, 64)
    assert not pays_to_compile(image.trainable_variables, 64)


def test_a_compiled_update_learns_the_same():
    agents = [make_agent(jit_compile=jit, params={"kl_target": None}) for jit in (False, True)]
    for agent in agents:
        agent.learn(play_window(agent, 0))
    for a, b in zip(agents[0].model.get_weights(), agents[1].model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@keras.saving.register_keras_serializable(package="test_ppo")
class Softsign(keras.layers.Layer):
    """A layer that acting does not know."""

    def call(self, x):
        return x / (1.0 + keras.ops.abs(x))


@pytest.mark.parametrize(
    ("name", "own", "num_envs"), crossed(["discrete", "box"], ["known", "unknown", None], [None, 3])
)
def test_ratios_start_at_one_in_every_window(num_envs, own, name):
    """What was recorded in acting, held against what the first minibatch finds: they differ by rounding alone."""
    space = ACTION_SPACES[name]
    size = 3 if name == "discrete" else 2
    layers = (keras.layers.Dense(16), Softsign()) if own == "unknown" else (keras.layers.Dense(16, "tanh"),)
    models = () if own is None else (network(4, size, *layers), network(4, 1))
    params = {"learning_rate": 1e-12, "num_epochs": 1, "clip_ratio": 1e-3}
    agent = make_agent(space, models=models, params=params, batch_size=10_000)
    agent._log_std is None or agent._log_std.assign([-1.0, 0.3])
    agent.refresh()
    assert own is None or agent._forward.kind == ("numpy" if own == "known" else "traced")
    for number in range(3):
        rng, shape = np.random.default_rng(number), (40,) if num_envs is None else (40, num_envs)
        observations = (10 * rng.normal(size=(*shape, 4))).astype(np.float32)
        policy = agent.policy()
        chosen = [policy.act_with_log_prob(one) for one in observations.reshape(-1, 4)]
        actions = np.array([action for action, _ in chosen])
        recorded = np.array([log_prob for _, log_prob in chosen]).reshape(shape)
        window = play_window(
            agent,
            number,
            40,
            num_envs,
            observations=observations,
            next_observations=observations,
            actions=actions.reshape(*shape, *actions.shape[1:]),
            action_log_probs=recorded,
        )
        assert agent.learn(window)["clip_fraction"] == 0.0
