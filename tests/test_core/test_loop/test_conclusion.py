"""A run that had ended: gone on with as if it had had the larger budget from the start, or handed back as it is."""

import json
import os
import signal
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from resume_fakes import LinearAgent, MeanReturn, Scores, SixMethods, assert_same, make_run, outcome_of, resumed

from tensor_optix import BatchPipeline, LoopCallback, RLOptimizer, make_agent, make_pipeline
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.loop.result_file import read_outcome
from tensor_optix.core.storage.json_files import read_sealed_json
from tensor_optix.core.types import AgentState, HyperparamSet

RUN = "run-0001"


def all_bytes(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def num_rows(folder):
    return len((folder / RUN / "history.jsonl").read_text().splitlines())


def snapshot_ids(folder):
    return {entry["id"] for entry in read_sealed_json(folder / RUN / "manifest.json")["snapshots"]}


class TestWithALargerBudget:
    @pytest.mark.parametrize(("num_envs", "tuner"), [(1, "backoff"), (3, "pbt")])
    @pytest.mark.parametrize(
        ("small", "large"),
        [
            ({}, {"max_env_steps": 9000}),
            ({"max_env_steps": 500}, {}),
            ({"max_env_steps": None, "max_episodes": 31}, {"max_env_steps": None, "max_episodes": 64}),
        ],
    )
    def test_it_is_the_run_that_had_it_from_the_start(self, tmp_path, small, large, num_envs, tuner):
        how = {"num_envs": num_envs, "tuner": tuner, "max_snapshots": 50}
        optimizer = make_run(tmp_path / "left-alone", **how, **large)
        expected = outcome_of(optimizer, optimizer.run())
        make_run(tmp_path / "cut", **how, **small).run()
        optimizer, result = resumed(tmp_path / "cut", **how, **large)
        assert_same(outcome_of(optimizer, result), expected)

    def test_it_goes_on_at_the_last_barrier_before_the_end_however_short_the_run_was(self, tmp_path):
        first = make_run(tmp_path).run()
        seen = []

        class Count(LoopCallback):
            def on_episode_end(self, episode_id, metrics):
                seen.append(episode_id)

        _, result = resumed(tmp_path, max_env_steps=9000, callbacks=[Count(), Scores()])
        barrier = (first.windows - 1) // 5 * 5  # after every fifth window; the last may be one that was cut
        assert seen == list(range(barrier, result.windows))


class TestNothingMoreToDo:
    @pytest.mark.parametrize("budget", [{}, {"max_env_steps": 3000}, {"max_env_steps": 3300, "max_episodes": 5}])
    def test_the_result_is_returned_and_told_and_nothing_on_disk_changes(self, tmp_path, caplog, budget):
        optimizer = make_run(tmp_path, max_snapshots=50)
        expected = outcome_of(optimizer, optimizer.run())
        before, listed = all_bytes(tmp_path), sorted(path.name for path in tmp_path.rglob("*"))
        optimizer, result = resumed(tmp_path, max_snapshots=50, **budget)
        assert "had ended (budget: max_env_steps=3,300 leaves no room" in caplog.text
        outcome = outcome_of(optimizer, result)
        of_the_process = ("agent", "callbacks")  # the agent holds the champion; its replay is not kept
        assert_same(outcome, {name: value for name, value in expected.items() if name not in of_the_process})
        assert outcome["agent"]["weights"] == expected["agent"]["weights"]
        assert optimizer.best_snapshot == result.champion
        assert optimizer.seed == 5
        assert optimizer.last_result is result
        assert all_bytes(tmp_path) == before
        assert sorted(path.name for path in tmp_path.rglob("*")) == listed

    def test_one_that_ended_by_itself_is_over_whatever_the_budget(self, tmp_path, caplog):
        arguments = {"max_env_steps": 60_000, "dormant_threshold": 3, "max_snapshots": 4}
        first = make_run(tmp_path, **arguments).run()
        assert first.reason in ("trained", "stalled")
        _, again = resumed(tmp_path, **{**arguments, "max_env_steps": None})
        assert (again.reason, again.windows, again.history) == (first.reason, first.windows, first.history)
        assert again.report.returns.tolist() == first.report.returns.tolist()
        assert f"had ended ({first.reason}" in caplog.text

    def test_the_second_run_of_one_optimizer_is_not_mistaken_for_the_first(self, tmp_path):
        class Fail(LoopCallback):
            def on_loop_start(self):
                if len(starts) == 1:
                    raise_in.append(1)
                starts.append(1)

        class Broken(LinearAgent):
            def learn(self, window):
                if raise_in and window.episode_id > 60:
                    raise_in.clear()
                    raise RuntimeError("in the second run")
                return super().learn(window)

        starts, raise_in = [], []
        optimizer = make_run(tmp_path, agent=Broken(), callbacks=[Fail()])
        optimizer.run()
        with pytest.raises(RuntimeError, match="in the second run"):
            optimizer.run()
        _, result = resumed(tmp_path, callbacks=[])
        assert result.windows > 80

    @pytest.mark.parametrize("is_cut_short", [False, True])
    def test_a_new_budget_after_it_was_handed_back_comes_on_top(self, tmp_path, is_cut_short):
        class Breakable(LinearAgent):
            learns_left = None

            def learn(self, window):
                if self.learns_left is not None:
                    self.learns_left -= 1
                if self.learns_left == 0:
                    raise RuntimeError("in what came on top")
                return super().learn(window)

        first = make_run(tmp_path).run()
        agent = Breakable(init_seed=7)
        optimizer, again = resumed(tmp_path, agent=agent)
        assert again.windows == first.windows
        if is_cut_short:
            agent.learns_left = 30
            with pytest.raises(RuntimeError, match="in what came on top"):
                optimizer.run()
            optimizer, result = resumed(tmp_path)
        else:
            result = optimizer.run()
        assert result.reason == "budget"
        assert result.windows > first.windows + 20
        assert result.env_steps["training"] > 1.5 * first.env_steps["training"]
        assert result.seconds > first.seconds
        assert len(result.history["score"]) == num_rows(tmp_path) == result.windows

    def test_its_champion_stays_unless_a_run_that_follows_comes_up_to_it(self, tmp_path):
        class Ruined(LinearAgent):
            is_ruined = False

            def act(self, observation):
                return 0 if self.is_ruined else int(observation[3] > 0.0)

            act_greedy = act

        agent = Ruined()
        optimizer = make_run(tmp_path, agent=agent, report_episodes=20, max_env_steps=3600)
        first = optimizer.run()
        again = optimizer.run(resume=True)
        agent.is_ruined = True
        result = optimizer.run()
        assert result.windows > again.windows
        assert result.champion.snapshot_id == first.champion.snapshot_id
        assert result.confirmed_mean == first.confirmed_mean
        assert "did not come up to it" in " ".join(result.notes)
        assert CheckpointRegistry(tmp_path / RUN, read_only=True).best.snapshot_id == first.champion.snapshot_id


class Climber(BaseAgent):
    """Acts its level, which is the number of its updates: later is better, greatly."""

    def __init__(self):
        self.level = 0

    def act(self, observation):
        return np.array([self.level], np.float32)

    def learn(self, window):
        self.level += 1
        return {}

    def get_hyperparams(self):
        return HyperparamSet({}, 0)

    def set_hyperparams(self, hyperparams):
        pass

    def save_weights(self, path):
        Path(path + ".txt").write_text(str(self.level))

    def load_weights(self, path):
        self.level = int(Path(path + ".txt").read_text())


class ClimberWithState(Climber):
    def get_state(self, scope="learner"):
        return AgentState({"level": np.array(self.level)}, {}, scope)

    def set_state(self, state):
        self.level = int(state.arrays["level"])


class Payment(gym.Env):
    """Pays the action, four times, and a little chance."""

    observation_space = gym.spaces.Box(-1, 1, (1,))
    action_space = gym.spaces.Box(-1e6, 1e6, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.num_steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.num_steps += 1
        return np.zeros(1, np.float32), float(action[0]) + self.np_random.normal(), self.num_steps == 4, False, {}


class Act(LoopCallback):
    """Does something after a window."""

    def __init__(self, window, act):
        self.window, self.act = window, act

    def on_episode_end(self, episode_id, metrics):
        if episode_id == self.window:
            self.act()


def climb(folder, agent, num_windows, *, callbacks=(), num_envs=1, resume=False, interval=None):
    def env():
        return Payment() if num_envs == 1 else gym.vector.SyncVectorEnv([Payment] * num_envs)

    pipeline = BatchPipeline(env, agent, 8, barrier_interval_steps=interval)
    optimizer = RLOptimizer(
        agent, pipeline, MeanReturn(), checkpoint_dir=str(folder), max_episodes=num_windows, callbacks=callbacks, seed=1
    )
    for callback in callbacks:
        callback.optimizer = optimizer
    return optimizer.run(resume=resume)


class TestTheBar:
    @pytest.mark.parametrize("kind", [Climber, ClimberWithState])
    @pytest.mark.parametrize("num_envs", [1, 2])
    @pytest.mark.parametrize("how", ["stop", "error"])
    def test_one_window_of_a_resumed_run_takes_nothing_away(self, tmp_path, kind, num_envs, how):
        """The only checkpoint is that of the start, so the resumed run begins with the worst policy of all."""
        first = climb(tmp_path, kind(), 60, num_envs=num_envs)
        assert first.confirmed_mean > 100
        before, rows = snapshot_ids(tmp_path), num_rows(tmp_path)
        agent = kind()
        act = Act(1, lambda: None)
        if how == "stop":
            act.act = lambda: act.optimizer.stop()
            result = climb(tmp_path, agent, 90, num_envs=num_envs, callbacks=[act], resume=True)
        else:
            learn = agent.learn

            def failing(window):
                if window.episode_id == 1:
                    raise RuntimeError("failed")
                return learn(window)

            agent.learn = failing
            with pytest.raises(RuntimeError, match="failed"):
                climb(tmp_path, agent, 90, num_envs=num_envs, resume=True)
            result = read_outcome(tmp_path / RUN).result
        assert result.confirmed_mean == first.confirmed_mean
        assert f"snapshot {first.champion.snapshot_id}, stays" in " ".join(result.notes)
        assert agent.level * 4 == pytest.approx(first.confirmed_mean, abs=1)
        assert read_sealed_json(tmp_path / RUN / "manifest.json")["best"] == first.champion.snapshot_id
        assert snapshot_ids(tmp_path) >= before
        assert num_rows(tmp_path) == rows
        loaded = kind()
        CheckpointRegistry(tmp_path / RUN, read_only=True).load_best(loaded)
        assert loaded.level == agent.level

    @pytest.mark.parametrize("kind", [Climber, ClimberWithState])
    def test_and_after_it_the_run_can_still_be_gone_on_with(self, tmp_path, kind):
        first = climb(tmp_path, kind(), 60)
        stop = Act(1, lambda: stop.optimizer.stop())
        climb(tmp_path, kind(), 90, callbacks=[stop], resume=True)
        result = climb(tmp_path, kind(), 90, resume=True)
        assert result.windows == 90
        assert result.confirmed_mean > first.confirmed_mean + 50
        assert [row["window"] for row in map(json.loads, (tmp_path / RUN / "history.jsonl").open())] == list(range(90))
        assert not list((tmp_path / RUN).glob("history.*.jsonl"))

    def test_a_champion_that_is_worse_than_what_was_reported_is_not_handed_back(self, tmp_path):
        """The world, or chance, may make the larger budget the worse one."""

        class Spoiled(ClimberWithState):
            def act(self, observation):
                return np.array([self.level if self.level < 70 else -self.level], np.float32)

            def act_greedy(self, observation):
                return super().act(observation) if is_first else np.array([-10.0], np.float32)

        is_first = True
        first = climb(tmp_path, Spoiled(), 60)
        is_first = False
        result = climb(tmp_path, Spoiled(), 90, resume=True)
        assert result.reason == "budget"
        assert result.champion.snapshot_id == first.champion.snapshot_id
        assert result.confirmed_mean == first.confirmed_mean
        assert "did not come up to it" in " ".join(result.notes)

    def test_without_any_report_a_run_that_went_on_has_the_say(self, tmp_path):
        how = {"report_episodes": 0}
        make_run(tmp_path, **how).run()
        _, result = resumed(tmp_path, max_env_steps=9000, **how)
        assert result.notes == ()
        assert result.reason == "budget"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, and kills with SIGKILL")
def test_kill_9_at_any_moment_of_the_resume_of_a_finished_run_loses_nothing(tmp_path):
    from harness.kill_points import KillPoints

    make_run(tmp_path / "left-alone", max_env_steps=6000).run()
    expected_rows = (tmp_path / "left-alone" / RUN / "history.jsonl").read_text()
    folder = tmp_path / "cut"
    first = make_run(folder).run()
    for number, moment in enumerate(["rename", "sync", "write", "remove", "barrier", "rename", "sync", "act"]):
        before, rows = snapshot_ids(folder), num_rows(folder)
        pid = os.fork()
        if pid == 0:
            run_checkpoint.SAVE_INTERVAL_SECONDS, run_checkpoint.MAX_COST = 0.0, float("inf")
            agent = LinearAgent(init_seed=9)
            KillPoints(agent, moment, 1 + number)
            make_run(folder, agent=agent, seed=None, max_env_steps=6000).run(resume=True)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), moment
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert len(snapshot_ids(folder)) >= len(before)
        assert num_rows(folder) >= rows
        registry = CheckpointRegistry(folder / RUN, read_only=True)
        assert registry.best.snapshot_id == first.champion.snapshot_id
        registry.load_best(LinearAgent())
        assert read_outcome(folder / RUN).result.confirmed_mean == first.confirmed_mean
    resumed(folder, max_env_steps=6000)
    assert (folder / RUN / "history.jsonl").read_text() == expected_rows


def test_six_methods_go_on_as_well_as_they_can(tmp_path):
    first = make_run(tmp_path, agent=SixMethods()).run()
    _, result = resumed(tmp_path, agent=SixMethods(init_seed=3), max_env_steps=6000)
    assert result.windows > first.windows
    assert any("not exactly: the agent has no get_state" in note for note in result.notes)


@pytest.mark.parametrize(
    ("algorithm", "env_id", "num_envs"),
    [
        ("policy_gradient", "CartPole-v1", 1),
        pytest.param("ppo", "CartPole-v1", 2, marks=pytest.mark.slow),
        pytest.param("dqn", "CartPole-v1", 1, marks=pytest.mark.slow),
        pytest.param("sac", "Pendulum-v1", 2, marks=pytest.mark.slow),
    ],
)
def test_every_algorithm_goes_on_as_if_it_had_had_the_budget_from_the_start(tmp_path, algorithm, env_id, num_envs):
    def run(folder, max_env_steps, *, resume=False, seed=3):
        pipeline = make_pipeline(env_id, algorithm=algorithm, num_envs=num_envs)
        off_policy = {"learning_starts": 200} if algorithm in ("dqn", "sac") else {}
        agent = make_agent(env_id, algorithm, seed=seed, hidden_units=(8,), **off_policy)
        pipeline = BatchPipeline(pipeline.env, agent, pipeline.window_size, barrier_interval_steps=500)
        optimizer = RLOptimizer(
            agent, pipeline, checkpoint_dir=str(folder), max_env_steps=max_env_steps, seed=seed, report_episodes=3
        )
        result = optimizer.run(resume=resume)
        state = {name: np.asarray(array).tobytes() for name, array in agent.get_state().arrays.items()}
        history = (Path(result.run_dir) / "history.jsonl").read_text()
        return state, history, result.champion.snapshot_id, result.report.returns.tolist(), dict(result.env_steps)

    small, large = (6000, 9000) if algorithm == "ppo" else (1500, 2500)
    run(tmp_path / "cut", small)
    resumed_run = run(tmp_path / "cut", large, resume=True, seed=8)
    assert resumed_run == run(tmp_path / "left-alone", large)
