"""What was trained is never lost between runs: train on, fine-tune, warm start, simulation to live, for all agents."""

import copy
import itertools

import gymnasium as gym
import keras
import numpy as np
import pytest
from four_agents import CHOICES, LENGTH, SMALL, assert_same_state, env_of, fresh_agent, greedy_score, run
from harness.small_envs import IdentityEnv

from tensor_optix import BatchPipeline, load_agent
from tensor_optix.exceptions import IncompatibleModelError, UnsupportedSpaceError

pytestmark = pytest.mark.parametrize("algorithm", SMALL)

RANDOM = ("seed", "noise", "generator")
"""What of a state's ``meta`` follows the seed."""

GOOD = 0.75 * LENGTH
FRESH = 0.65 * LENGTH

WINDOWS = {"policy_gradient": 30}
"""Windows that it takes to get there, where it is not 12."""

_TRAINED = {}


@pytest.fixture
def trained(algorithm, tmp_path_factory):
    """An agent that has mastered its environment, and the folder of its run."""
    if algorithm not in _TRAINED:
        agent = fresh_agent(algorithm)
        folder, windows = tmp_path_factory.mktemp(algorithm), WINDOWS.get(algorithm, 12)
        result = run(agent, env_of(algorithm), folder, seed=0, windows=windows)
        agent.learn(window_of(agent, algorithm))  # what the last window taught, whichever was the champion
        _TRAINED[algorithm] = agent, agent.get_state("all"), result.run_dir
    agent, state, run_dir = _TRAINED[algorithm]
    agent.set_state(copy.deepcopy(state))
    return agent, run_dir


def window_of(agent, algorithm, num_envs=1):
    pipeline = BatchPipeline(env_of(algorithm, num_envs), agent, window_size=60, seed=11)
    return next(pipeline.episodes())


def bind(agent, env, seed):
    agent.bind(env.observation_space, env.action_space, seed=seed)


class Declared(gym.Wrapper):
    """Says otherwise what it does: other bounds, float64 for float32."""

    def __init__(self, env):
        super().__init__(env)
        seen, taken = env.observation_space, env.action_space
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, seen.shape, np.float64)
        if isinstance(taken, gym.spaces.Box):
            self.action_space = gym.spaces.Box(-3.0, 1.9, taken.shape, np.float64)

    def step(self, action):
        assert self.action_space.contains(action)
        observation, *rest = self.env.step(action)
        return observation.astype(np.float64), *rest

    def reset(self, **how):
        observation, info = self.env.reset(**how)
        return observation.astype(np.float64), info


def test_the_fresh_ones_are_far_from_it(algorithm, tmp_path):
    assert run(fresh_agent(algorithm), env_of(algorithm), tmp_path, seed=1).history["score"][0] < FRESH


@pytest.mark.parametrize("num_envs", [1, 3])
def test_a_second_run_trains_on(algorithm, num_envs, trained, tmp_path):
    agent, _ = trained
    assert run(agent, env_of(algorithm, num_envs), tmp_path, seed=1, windows=2).history["score"][0] > GOOD


def test_another_seed_reseeds_and_changes_nothing_else(algorithm, trained):
    agent, _ = trained
    before, version = agent.get_state("all"), agent.version
    bind(agent, env_of(algorithm), seed=99)
    after = agent.get_state("all")
    assert_same_state(before, after, but=RANDOM)
    assert after.meta["seed"] == 99
    assert after.meta["noise"] != before.meta["noise"]
    assert after.meta["learner"]["generator"] != before.meta["learner"]["generator"]
    if "replay" in after.meta:
        assert after.meta["replay"]["generator"] != before.meta["replay"]["generator"]
    assert agent.version >= version

    bind(agent, env_of(algorithm), seed=None)
    bind(agent, env_of(algorithm), seed=99)
    assert_same_state(after, agent.get_state("all"))


def test_the_new_seed_decides_the_draws(algorithm, trained):
    agent, _ = trained
    state = agent.get_state("all")
    lives = []
    for seed in (7, 7, 8):
        agent.set_state(copy.deepcopy(state))
        bind(agent, env_of(algorithm), seed=seed)
        window = window_of(agent, algorithm)
        agent.learn(window)
        lives.append((window.actions.tolist(), agent.get_state().arrays["model.0"].tolist()))
    assert lives[0] == lives[1]
    assert lives[0] != lives[2]


def test_a_loaded_agent_goes_on_with_everything(algorithm, trained, tmp_path):
    agent, run_dir = trained
    loaded = load_agent(run_dir)
    saved = loaded.get_state()
    assert run(load_agent(run_dir), env_of(algorithm), tmp_path, seed=1).history["score"][0] > 0.6 * LENGTH
    assert greedy_score(loaded, algorithm) > GOOD
    bind(loaded, env_of(algorithm), seed=99)
    assert_same_state(saved, loaded.get_state(), but=RANDOM)

    agent.save_weights(str(tmp_path / "weights"))
    given = fresh_agent(algorithm, seed=44)
    given.load_weights(str(tmp_path / "weights"))
    assert_same_state(agent.get_state(), given.get_state(), but=("architecture", "version"))
    assert run(given, env_of(algorithm), tmp_path, seed=1).history["score"][0] > GOOD


def test_a_warm_start_has_the_weights_and_a_fresh_rest(algorithm, trained, tmp_path):
    agent, _ = trained
    agent.save_weights(str(tmp_path / "weights"))
    warm = load_agent(tmp_path / "weights", continue_training=False)
    old, new = agent.get_state("all"), warm.get_state("all")
    moments = [name for name in old.arrays if name.startswith("optimizer")]
    kept = [*agent.get_state("policy").arrays, *(name for name in old.arrays if name.startswith(("critic", "t")))]
    for name in kept:
        np.testing.assert_array_equal(old.arrays[name], new.arrays[name], err_msg=name)
    assert [name for name in moments if old.arrays[name].ndim and new.arrays[name].any()] == []
    assert len(moments) > 2
    fresh = fresh_agent(algorithm).get_state("all").meta
    for entry in ("kl_factor", "progress", "usual_spread"):
        assert new.meta["learner"].get(entry) == fresh["learner"].get(entry)
    assert new.meta.get("epsilon") == fresh.get("epsilon")
    assert warm.get_hyperparams().params == agent.get_hyperparams().params
    assert greedy_score(warm, algorithm) == greedy_score(agent, algorithm) > GOOD

    bind(warm, env_of(algorithm), seed=5)
    for name in kept:
        np.testing.assert_array_equal(old.arrays[name], warm.get_state().arrays[name], err_msg=name)
    scores = run(warm, env_of(algorithm), tmp_path, seed=1).history["score"]
    assert (scores[0] > GOOD) == (algorithm in ("ppo", "policy_gradient"))  # the others explore anew


@pytest.mark.parametrize("same_seed", [True, False])
def test_weights_of_ones_own_stay(algorithm, same_seed, trained, caplog):
    agent, _ = trained
    pupil = fresh_agent(algorithm, seed=21)
    pupil.model.set_weights(agent.model.get_weights())
    env = env_of(algorithm)
    bind(pupil, env, seed=21 if same_seed else 22)
    assert ("If they were trained on observations as they are" in caplog.text) == (algorithm == "ppo")
    state = pupil.get_state()
    for ours, theirs in zip(agent.model.get_weights(), pupil.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if algorithm == "dqn":
        for i, weights in enumerate(agent.model.get_weights()):
            np.testing.assert_array_equal(state.arrays[f"target.{i}"], weights)
    before = pupil.model.get_weights()
    bind(pupil, env, seed=23)
    for earlier, now in zip(before, pupil.model.get_weights(), strict=True):
        np.testing.assert_array_equal(earlier, now)


def test_a_model_of_ones_own_is_fine_tuned(algorithm, trained, tmp_path):
    agent, _ = trained
    size = agent.model.outputs[0].shape[1]
    model = keras.models.clone_model(agent.model)
    model.set_weights(agent.model.get_weights())
    how = {k: v for k, v in SMALL[algorithm][1].items() if k in ("batch_size", "learning_starts", "buffer_size")}
    params = {"learning_rate": 1e-3, **({"epsilon_start": 0.1} if algorithm == "dqn" else {})}
    if algorithm == "sac":
        how["learning_starts"] = 0
    hyperparams = type(agent.get_hyperparams())(params, 0)
    plain = {} if algorithm == "policy_gradient" else {"normalize_observations": False, **how}
    optimizer = keras.optimizers.Adam(1e-3)
    own = type(agent)(model, optimizer=optimizer, hyperparams=hyperparams, **plain)
    weights = model.get_weights()
    bind(own, env_of(algorithm), seed=6)
    bind(own, env_of(algorithm), seed=7)
    assert own.model is model
    assert size == model.outputs[0].shape[1]
    for earlier, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(earlier, now)
    if algorithm != "ppo":  # whose actor was made for normalised observations
        assert run(own, env_of(algorithm), tmp_path, seed=1).history["score"][0] > GOOD


@pytest.mark.parametrize("num_envs", [1, 3])
def test_from_simulation_to_live(algorithm, num_envs, trained, tmp_path):
    agent, _ = trained
    before = agent.get_state("all")
    live = env_of(algorithm, num_envs, Declared)
    sub = env_of(algorithm, wrap=Declared)
    bind(agent, sub, seed=99)
    assert_same_state(before, agent.get_state("all"), but=RANDOM)
    history = run(agent, live, tmp_path, seed=1, windows=2).history
    assert history["score"][0] > 0.7 * LENGTH
    agent.save_weights(str(tmp_path / "weights"))
    assert greedy_score(load_agent(tmp_path / "weights"), algorithm) > GOOD


def test_really_other_spaces_are_an_error_and_change_nothing(algorithm, trained):
    agent, _ = trained
    other = IdentityEnv(gym.spaces.Discrete(5))
    before = agent.get_state("all")
    for seed in (None, 99):
        with pytest.raises(UnsupportedSpaceError, match=r"made for observations in .* the shape \(5,\) instead of"):
            bind(agent, other, seed)
    assert_same_state(before, agent.get_state("all"))
    assert greedy_score(agent, algorithm) > GOOD
    same_observations = IdentityEnv(SMALL[algorithm][0]).observation_space
    with pytest.raises(UnsupportedSpaceError, match=r"made for actions in .*(3 actions instead of 2|another kind)"):
        agent.bind(same_observations, gym.spaces.Discrete(3))

    held = fresh_agent(algorithm)
    held.model.set_weights(agent.model.get_weights())
    with pytest.raises((UnsupportedSpaceError, IncompatibleModelError)):
        bind(held, other, seed=1)


def test_a_fresh_one_is_made_anew_by_its_seed_alone(algorithm):
    env, agents = env_of(algorithm), [fresh_agent(algorithm, seed=seed) for seed in (1, 2)]
    for agent in agents:
        agent.act(env.observation_space.sample())
        bind(agent, env, seed=5)
    if algorithm == "policy_gradient":  # its model was made by make_agent, and is the user's from then on
        agents[1].model.set_weights(agents[0].model.get_weights())
    assert_same_state(agents[0].get_state("all"), agents[1].get_state("all"), but=("architecture",))


def test_actions_start_where_the_environment_says(algorithm, trained):
    agent, _ = trained
    if SMALL[algorithm][0] is not CHOICES:
        pytest.skip("its actions are numbers")
    shifted = IdentityEnv(gym.spaces.Discrete(2, start=-4))
    window = window_of(agent, algorithm)
    agent.learn(window)
    bind(agent, shifted, seed=None)
    assert {agent.act(shifted.reset(seed=i)[0]) for i in range(20)} == {-4, -3}
    pipeline = BatchPipeline(shifted, agent, window_size=60, seed=11)
    for window in itertools.islice(pipeline.episodes(), 4):
        assert set(window.actions.tolist()) == {-4, -3}
        agent.learn(window)
    assert greedy_score(agent, algorithm) > GOOD
