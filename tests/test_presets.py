"""From an environment to good defaults."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.models.default_networks import build_model
from tensor_optix.exceptions import (
    InvalidArgumentError,
    InvalidTypeError,
    UnknownEnvironmentError,
    UnsupportedSpaceError,
)
from tensor_optix.presets import known_algorithms, make_agent, make_pipeline

SPACES = {
    "vector": gym.spaces.Box(-1.0, 1.0, (4,)),
    "matrix": gym.spaces.Box(-1.0, 1.0, (2, 3)),
    "image": gym.spaces.Box(0, 255, (36, 36, 3), np.uint8),
    "discrete": gym.spaces.Discrete(6),
    "bits": gym.spaces.MultiBinary(5),
    "dict": gym.spaces.Dict({"place": gym.spaces.Box(-1.0, 1.0, (2,)), "seen": gym.spaces.Discrete(3)}),
    "tuple": gym.spaces.Tuple([gym.spaces.Box(-1.0, 1.0, (2,)), gym.spaces.Box(0, 255, (8, 8, 1), np.uint8)]),
}


class TestModel:
    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_it_takes_what_the_space_holds(self, space: gym.Space[Any]) -> None:
        model = build_model(space, num_outputs=3, hidden_units=(8,), seed=0)
        assert model.output_shape == (None, 3)
        space.seed(0)
        assert np.isfinite(model(batch_of_two(space))).all()

    def test_the_seed_decides_the_first_weights(self) -> None:
        same, again, other = (build_model(SPACES["vector"], 2, seed=seed).get_weights() for seed in (1, 1, 2))
        assert all(np.array_equal(a, b) for a, b in zip(same, again, strict=True))
        assert not np.array_equal(same[0], other[0])
        assert not np.array_equal(same[2][:4, :4], same[0][:4, :4]), "layers differ from each other"

    def test_hidden_units_are_the_layers(self) -> None:
        assert [w.shape for w in build_model(SPACES["vector"], 2, (7, 5)).get_weights()[::2]] == [
            (4, 7),
            (7, 5),
            (5, 2),
        ]

    @pytest.mark.parametrize("space", [gym.spaces.Text(3), gym.spaces.Discrete(10**6)])
    def test_another_space_is_an_error(self, space: gym.Space[Any]) -> None:
        with pytest.raises(UnsupportedSpaceError, match="no default model for observations"):
            build_model(space, 2)


class TestMakeAgent:
    @pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
    def test_it_acts_in_the_environment(self, env_id: str) -> None:
        env = gym.make(env_id)
        agent = make_agent(env, seed=0)
        agent.bind(env.observation_space, env.action_space, seed=0)
        observation, _ = env.reset(seed=0)
        assert env.action_space.contains(agent.act(observation))

    def test_overrides_are_hyperparameters_or_settings_of_the_model(self) -> None:
        agent = make_agent("CartPole-v1", learning_rate=1e-3, gamma=0.9, hidden_units=(8,), seed=0)
        params = agent.get_hyperparams().params
        assert params["gamma"] == 0.9
        assert params["learning_rate"] == pytest.approx(1e-3)
        assert agent.model.count_params() == 4 * 8 + 8 + 8 * 2 + 2

    def test_overrides_are_also_arguments_of_the_class(self) -> None:
        agent = make_agent("CartPole-v1", "ppo", batch_size=128, scale_rewards=False, kl_target=None)
        assert agent.batch_size == 128
        assert agent.get_hyperparams().params["kl_target"] is None

    def test_the_plain_agent_is_still_there(self) -> None:
        agent = make_agent("Pendulum-v1", "policy_gradient", gamma=0.9, seed=0)
        assert type(agent).__name__ == "TFAgent"
        assert agent.model.output_shape == (None, 1)

    def test_it_is_ready_to_act_and_the_seed_decides_how(self) -> None:
        observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
        actions = [make_agent("CartPole-v1", seed=seed).act_batch(observations).tolist() for seed in (1, 1, 2)]
        assert actions[0] == actions[1] != actions[2]

    def test_a_vector_environment_is_one_environment_several_times(self) -> None:
        env = gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync")
        assert make_agent(env).model.input_shape == (None, 4)

    def test_an_unknown_algorithm_is_an_error_that_names_the_known(self) -> None:
        with pytest.raises(InvalidArgumentError, match=r"one of auto, ppo, .*Received: 'a3c'"):
            make_agent("CartPole-v1", "a3c")
        assert known_algorithms()[0] == "auto"

    @pytest.mark.parametrize("algorithm", ["ppo", "dqn", "policy_gradient"])
    def test_settings_of_the_wrong_kind_are_errors(self, algorithm: str) -> None:
        for wrong in ("64,64", 64, (64, 0), (1.5,), None):
            with pytest.raises((InvalidArgumentError, InvalidTypeError), match="hidden_units"):
                make_agent("CartPole-v1", algorithm, hidden_units=wrong)
        for wrong in (-1, 1.5, "x"):
            with pytest.raises((InvalidArgumentError, InvalidTypeError), match="`seed` must be an integer >= 0"):
                make_agent("CartPole-v1", algorithm, seed=wrong)
        with pytest.raises((InvalidArgumentError, InvalidTypeError), match="learning_rate"):
            make_agent("CartPole-v1", algorithm, learning_rate="fast")

    def test_an_unknown_setting_is_an_error_that_names_the_nearest(self) -> None:
        with pytest.raises(InvalidArgumentError, match=r"Unknown setting 'gama'\. Did you mean 'gamma'\?"):
            make_agent("CartPole-v1", gama=0.9)

    @pytest.mark.parametrize(
        ("space", "algorithm", "message"),
        [
            (gym.spaces.MultiBinary(3), "policy_gradient", r"'policy_gradient' cannot serve .* These can: ppo"),
            (gym.spaces.Text(3), "auto", "'auto' cannot serve .* wrap the environment"),
        ],
    )
    def test_an_algorithm_that_cannot_serve_the_actions_names_those_that_can(
        self, space: gym.Space[Any], algorithm: str, message: str
    ) -> None:
        class Odd(gym.Env[Any, Any]):
            observation_space = SPACES["vector"]
            action_space = space

        with pytest.raises(UnsupportedSpaceError, match=message):
            make_agent(Odd(), algorithm)


class AnyEnv(gym.Env[Any, Any]):
    """Shows and takes what its spaces hold, at random."""

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        return self.observation_space.sample(), 1.0, bool(self.np_random.random() < 0.2), False, {}


@pytest.mark.parametrize(
    ("algorithm", "observation_space", "action_space"),
    [
        ("ppo", "dict", gym.spaces.MultiDiscrete([2, 3])),
        ("auto", "tuple", gym.spaces.MultiBinary(2)),
        ("auto", "image", gym.spaces.Box(-2.0, 2.0, (2,))),
        ("dqn", "dict", gym.spaces.Discrete(3, start=1)),
        ("sac", "tuple", gym.spaces.Box(0.0, 5.0, (2,))),
    ],
)
def test_agent_and_pipeline_are_made_for_the_spaces(
    algorithm: str, observation_space: str, action_space: gym.Space[Any]
) -> None:
    def make_env() -> AnyEnv:
        return AnyEnv(SPACES[observation_space], action_space)

    small = {"batch_size": 8, "hidden_units": (8,), "seed": 0}
    replay = {"learning_starts": 8, "buffer_size": 64}
    small |= replay if algorithm in ("dqn", "sac") else {"jit_compile": False}
    agent = make_agent(make_env, algorithm, **small)
    pipeline = make_pipeline(make_env, agent, num_envs=2, window_size=12, seed=0)
    agent.bind(pipeline.observation_space, pipeline.action_space, num_envs=2, seed=0)
    diagnostics = agent.learn(next(iter(pipeline.episodes())))
    assert diagnostics["num_gradient_steps"] > 0
    assert np.isfinite(diagnostics["loss"])


class TestMakePipeline:
    def test_environments_share_the_steps_of_an_update(self) -> None:
        sizes = [(p.num_envs, p.window_size) for p in (make_pipeline("CartPole-v1", num_envs=n) for n in (None, 1, 4))]
        assert sizes == [(8, 256), (1, 2048), (4, 512)]

    def test_the_agent_or_the_algorithm_decides_what_suits(self) -> None:
        agent = make_agent("CartPole-v1", "policy_gradient")
        for pipeline in (
            make_pipeline("CartPole-v1", agent),
            make_pipeline("CartPole-v1", algorithm="policy_gradient"),
        ):
            assert (pipeline.num_envs, pipeline.window_size) == (1, 200)

    def test_a_callable_can_be_copied_and_an_instance_cannot(self) -> None:
        assert make_pipeline(lambda: gym.make("CartPole-v1"), num_envs=2).num_envs == 2
        assert make_pipeline(gym.make("CartPole-v1"), window_size=10).window_size == 10
        assert make_pipeline(gym.make("CartPole-v1")).num_envs == 1
        assert make_pipeline(gym.make_vec("CartPole-v1", num_envs=4)).window_size == 512
        with pytest.raises(InvalidArgumentError, match="cannot be copied num_envs=2 times"):
            make_pipeline(gym.make("CartPole-v1"), num_envs=2)

    def test_an_unknown_id_is_an_error_that_names_the_nearest(self) -> None:
        with pytest.raises(UnknownEnvironmentError, match="Did you mean CartPole-v1"):
            make_pipeline("CartPol-v1")

    def test_nothing_near_says_where_to_look(self) -> None:
        with pytest.raises(UnknownEnvironmentError, match="pprint_registry"):
            make_pipeline("qqqqqqqqqqqq")

    def test_a_module_that_cannot_be_imported_is_named(self) -> None:
        with pytest.raises(UnknownEnvironmentError, match="cannot be imported"):
            make_pipeline("no_such_module_here:CartPole-v1")

    def test_a_bad_count_is_an_error(self) -> None:
        with pytest.raises(InvalidArgumentError, match="num_envs"):
            make_pipeline("CartPole-v1", num_envs=0)
        with pytest.raises(InvalidArgumentError, match="window_size"):
            make_pipeline("CartPole-v1", window_size=0)
        with pytest.raises(InvalidTypeError, match="window_size"):
            make_pipeline("CartPole-v1", window_size="200")  # type: ignore[arg-type]


def batch_of_two(space: gym.Space[Any]) -> Any:
    samples = [space.sample() for _ in range(2)]
    if isinstance(space, gym.spaces.Dict):
        return {name: column([x[name] for x in samples]) for name in space}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(column([x[i] for x in samples]) for i in range(len(space)))
    return column(samples)


def column(values: list[Any]) -> np.ndarray:
    """Return ``[2, ...]``, with a last dimension for plain numbers."""
    array = np.stack([np.asarray(value) for value in values])
    return array[:, None] if array.ndim == 1 else array
