"""A run that is resumed with other parts says so before its first step: it is refused, or both values are named."""

import shutil

import gymnasium as gym
import keras
import numpy as np
import pytest
from resume_fakes import LinearAgent, MeanReturn, interrupted, make_run, other_notes, wait_for_writers

from tensor_optix import BackoffOptimizer, BatchPipeline, HyperparamSet, TFAgent, load_agent
from tensor_optix.algorithms.dqn import DQNAgent
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.storage.json_files import read_sealed_json
from tensor_optix.exceptions import StateMismatchError

pytestmark = pytest.mark.usefixtures("save_at_every_barrier")


def model(units=4, activation="relu", seed=0):
    def dense(size, name, **arguments):
        return keras.layers.Dense(size, name=name, kernel_initializer=keras.initializers.HeNormal(seed), **arguments)

    inputs, hidden = keras.Input((4,), name="observation"), dense(units, "hidden", activation=activation)
    return keras.Sequential([inputs, hidden, dense(2, "logits")], name="policy")


def policy_gradient(optimizer=None, **network):
    params = HyperparamSet({"learning_rate": 3e-3, "gamma": 0.99, "num_epochs": 1}, 0)
    return TFAgent(model(**network), optimizer or keras.optimizers.Adam(name="adam"), params)


def make(folder, agent, *, num_envs=1, env_id="CartPole-v1", window_size=60, **arguments):
    def env():
        return gym.make(env_id) if num_envs == 1 else gym.make_vec(env_id, num_envs, vectorization_mode="sync")

    pipeline = BatchPipeline(env, agent, window_size, barrier_interval_steps=300)
    settings = {"tuner": "none", "max_env_steps": 900, "callbacks": [], "report_episodes": 0, **arguments}
    return make_run(folder, agent=agent, pipeline=pipeline, **settings)


def cut_run(folder, agent, **arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_checkpoint.RunCheckpoint, "save_if_due", run_checkpoint.RunCheckpoint.save)
        interrupted(make(folder, agent, stop_at=8, **arguments))
    return folder


@pytest.fixture(scope="module")
def run_of_a_network(tmp_path_factory):
    return cut_run(tmp_path_factory.mktemp("network"), policy_gradient())


@pytest.fixture(scope="module")
def run_of_numpy(tmp_path_factory):
    return cut_run(tmp_path_factory.mktemp("numpy"), LinearAgent())


@pytest.fixture
def resume(tmp_path, caplog):
    def resume(folder, agent, **arguments):
        """Resume a copy; return the notes, all of which were logged before the first window."""
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        logged = []
        act = agent.act_batch if arguments.get("num_envs", 1) > 1 else agent.act

        def first_act(observation):
            logged.append(caplog.text)
            return act(observation)

        setattr(agent, act.__name__, first_act)
        result = make(tmp_path, agent, seed=None, **arguments).run(resume=True)
        assert result.windows > 8
        told = [note.removeprefix("the run was resumed, but not exactly: ") for note in other_notes(result)]
        assert all(note in logged[0] for note in told)
        return told

    return resume


def test_the_same_parts_say_nothing(run_of_a_network, resume):
    assert resume(run_of_a_network, policy_gradient(seed=9)) == []


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"activation": "tanh"}, "the agent's model.layers[1].activation was 'relu', is 'tanh'"),
        ({"optimizer": keras.optimizers.Adam(beta_1=0.5)}, "the agent's optimizer.beta_1 was 0.9, is 0.5"),
    ],
)
def test_a_network_of_the_same_shapes_goes_on_and_says_so(run_of_a_network, resume, network, said):
    assert resume(run_of_a_network, policy_gradient(**network)) == [said]


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"units": 5}, r"the agent's model.layers\[1\].units was 4, is 5"),
        ({"optimizer": keras.optimizers.SGD()}, "the agent's optimizer was Adam, is SGD"),
    ],
)
def test_a_network_of_other_shapes_is_refused_by_name(run_of_a_network, resume, network, said):
    with pytest.raises(StateMismatchError, match=f"This is what differs: {said}"):
        resume(run_of_a_network, policy_gradient(**network))


def test_another_agent_is_refused_by_name(run_of_a_network, resume):
    agent = DQNAgent(model(), learning_starts=100, buffer_size=300)
    with pytest.raises(StateMismatchError, match="the class of the agent was TFAgent, is DQNAgent"):
        resume(run_of_a_network, agent)


def test_another_number_of_environments_goes_on_and_says_so(run_of_a_network, resume):
    told = resume(run_of_a_network, policy_gradient(), num_envs=3, window_size=20)
    assert told == ["num_envs was 1, is 3", "window_size was 60, is 20"]


def test_arguments_of_a_replay_agent(tmp_path, resume):
    arguments = {"learning_starts": 100, "buffer_size": 300, "batch_size": 8, "hidden_units": (4,)}
    cut_run(tmp_path / "dqn", DQNAgent(**arguments))
    told = resume(tmp_path / "dqn", DQNAgent(**{**arguments, "batch_size": 16}))
    assert told == ["the agent's batch_size was 8, is 16"]
    with pytest.raises(StateMismatchError, match="the agent's buffer_size was 300, is 400"):
        resume(tmp_path / "dqn", DQNAgent(**{**arguments, "buffer_size": 400}))


class Doubled(MeanReturn):
    pass


class Other(LinearAgent):
    pass


class Harder(gym.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (4,), np.float32)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_envs": 3, "window_size": 20}, ["num_envs was 1, is 3", "window_size was 60, is 20"]),
        ({"window_size": 30}, ["window_size was 60, is 30"]),
        ({"plateau_threshold": 4, "max_snapshots": 5}, ["plateau_threshold was 2, is 4"]),
        ({"target_score": 400.0}, ["target_score was None, is 400.0"]),
        ({"evaluation_env": "CartPole-v1"}, ["evaluation_env was False, is True"]),
    ],
)
def test_other_counts_and_settings(run_of_numpy, resume, arguments, said):
    if "evaluation_env" in arguments:
        arguments = {"evaluation_env": lambda: gym.make("CartPole-v1")}
        said = ["the EvaluationEnv is new, so it starts afresh", *said]
    assert sorted(resume(run_of_numpy, LinearAgent(), **arguments)) == sorted(said)


def test_other_classes(run_of_numpy, resume, monkeypatch):
    import resume_fakes

    monkeypatch.setattr(resume_fakes, "MeanReturn", Doubled)
    tuner = BackoffOptimizer({"learning_rate": (1e-4, 1.0)})
    told = resume(run_of_numpy, Other(), optimizer=tuner)
    assert told == [
        "the class of the agent was LinearAgent, is Other",
        "the class of the evaluator was MeanReturn, is Doubled",
        "the bounds of learning_rate was None, is ParamSpec(low=0.0001, high=1.0, scale='log', integer=False)",
    ]


def test_other_observations_are_refused_by_name(run_of_numpy, resume):
    with pytest.raises(
        StateMismatchError,
        match=r"cannot go on in another observation space: it was Box\(.*\(4,\), float32\) and is Box\(.*\(6,\), fl",
    ):
        resume(run_of_numpy, LinearAgent(6), env_id="Acrobot-v1")


def test_what_differed_once_is_said_for_good(run_of_numpy, tmp_path):
    shutil.copytree(run_of_numpy, tmp_path, dirs_exist_ok=True)
    optimizer = make(tmp_path, LinearAgent(), seed=None, window_size=30, stop_at=20)
    with pytest.raises(Exception, match=r"^$"):
        optimizer.run(resume=True)
    result = make(tmp_path, LinearAgent(), seed=None, window_size=30).run(resume=True)
    assert other_notes(result) == ("the run was resumed, but not exactly: window_size was 60, is 30",)


def test_files_of_a_tuned_run_say_the_same_whether_it_was_resumed_or_not(tmp_path):
    def run(folder, *, resume=False, stop_at=None, seed=0):
        tuner = BackoffOptimizer({"learning_rate": (1e-4, 1e-1)}, perturbation_scale=0.5)
        arguments = {"optimizer": tuner, "max_env_steps": 1800, "max_snapshots": 20, "stop_at": stop_at}
        agent = policy_gradient(seed=seed)
        optimizer = make(folder, agent, seed=None if resume else 5, **arguments)
        if stop_at is not None:
            return interrupted(optimizer)
        optimizer.run(resume=resume)
        wait_for_writers(optimizer)
        run_dir = optimizer.run_dir
        states = [*run_dir.glob("snapshot_*/weights/state.json"), *run_dir.glob("checkpoint/*/*/state.json")]
        return {str(path.relative_to(run_dir)): path.read_text() for path in states}, agent.get_hyperparams().params

    expected, params = run(tmp_path / "left-alone")
    run(tmp_path / "cut", stop_at=17)
    ended, _ = run(tmp_path / "cut", resume=True, seed=9)
    snapshots = {name for name in expected if name.startswith("snapshot")}
    assert len(snapshots) > 1
    assert {name: ended[name] for name in snapshots} == {name: expected[name] for name in snapshots}
    described = {
        read_sealed_json(path)["meta"]["architecture"]["optimizer"]
        for path in tmp_path.glob("*/run-0001/**/state.json")
    }
    assert len(described) == 1
    assert params["learning_rate"] != 3e-3
    assert isinstance(load_agent(tmp_path / "cut" / "run-0001"), TFAgent)
