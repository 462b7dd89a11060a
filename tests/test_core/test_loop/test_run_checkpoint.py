"""A run that was interrupted and resumed ends as the one that was left alone, to the last bit."""

import logging
import shutil

import numpy as np
import pytest
from crossed import crossed
from resume_fakes import (
    TUNERS,
    Interruption,
    LinearAgent,
    Scores,
    assert_same,
    interrupted,
    left_alone,
    make_run,
    other_notes,
    outcome_of,
    resumed,
)

from tensor_optix import LoopCallback
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.storage.json_files import read_sealed_json
from tensor_optix.core.storage.state_files import META_FILE

pytestmark = pytest.mark.usefixtures("save_at_every_barrier")


@pytest.mark.parametrize(("tuner", "num_envs", "stop_at"), crossed(TUNERS, [1, 3], [1, 17, 33]))
def test_after_an_error(tmp_path, num_envs, tuner, stop_at):
    how = {"num_envs": num_envs, "tuner": tuner}
    expected = left_alone(tmp_path, **how)
    interrupted(make_run(tmp_path / "cut", stop_at=stop_at, **how))
    optimizer, result = resumed(tmp_path / "cut", **how)
    assert other_notes(result) == ()
    assert_same(outcome_of(optimizer, result), expected)
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["run-0001"]


def test_by_the_same_optimizer_object(tmp_path):
    expected = left_alone(tmp_path)
    optimizer = make_run(tmp_path / "cut", stop_at=33)
    interrupted(optimizer)
    assert_same(outcome_of(optimizer, optimizer.run(resume=True)), expected)


def test_by_the_name_of_its_own_folder(tmp_path):
    expected = left_alone(tmp_path)
    optimizer = make_run(tmp_path / "cut", stop_at=33)
    interrupted(optimizer)
    assert_same(outcome_of(optimizer, optimizer.run(resume=str(optimizer.run_dir))), expected)


def test_again_and_again(tmp_path):
    expected = left_alone(tmp_path)
    interrupted(make_run(tmp_path / "cut", stop_at=12))
    for stop_at in (13, 20, 29, 41):
        optimizer = make_run(tmp_path / "cut", stop_at=stop_at, agent=LinearAgent(init_seed=stop_at), seed=None)
        with pytest.raises(Interruption):
            optimizer.run(resume=True)
    optimizer, result = resumed(tmp_path / "cut")
    assert_same(outcome_of(optimizer, result), expected)


def test_after_it_was_asked_to_stop(tmp_path):
    class Stop(LoopCallback):
        def on_episode_end(self, episode_id, metrics):
            if episode_id == 26:
                optimizer.stop()

    expected = left_alone(tmp_path)
    optimizer = make_run(tmp_path / "cut", callbacks=[Stop(), Scores()])
    assert optimizer.run().reason == "stopped"
    optimizer, result = resumed(tmp_path / "cut")
    assert_same(outcome_of(optimizer, result), expected)


def test_one_that_ended_right_at_a_barrier_goes_on_from_before_its_last_choice(tmp_path):
    """Its final challenge was played after that barrier: whoever goes on from there plays it twice."""
    arguments = {"max_env_steps": None, "max_episodes": 175, "dormant_threshold": 10**6}  # a barrier every fifth
    optimizer = make_run(tmp_path / "cut", **arguments)
    assert optimizer.run().env_steps["evaluation"] > 0
    arguments["max_episodes"] = 178
    expected = left_alone(tmp_path, **arguments)
    optimizer, result = resumed(tmp_path / "cut", **arguments)
    assert_same(outcome_of(optimizer, result), expected)


def test_callbacks_without_a_state_may_come_and_go(tmp_path):
    expected = left_alone(tmp_path)
    interrupted(make_run(tmp_path / "cut", stop_at=33, callbacks=[LoopCallback(), Scores()]))
    optimizer, result = resumed(tmp_path / "cut", callbacks=[Scores(), LoopCallback()])
    assert other_notes(result) == ()
    assert_same(outcome_of(optimizer, result), expected)


def test_with_a_larger_budget_it_is_the_run_that_had_it_from_the_start(tmp_path, caplog):
    expected = left_alone(tmp_path, max_env_steps=4200)
    make_run(tmp_path / "cut").run()
    optimizer, result = resumed(tmp_path / "cut", max_env_steps=4200)
    assert_same(outcome_of(optimizer, result), expected)
    assert "max_env_steps was 3300, is 4200" in caplog.text


def test_moved_elsewhere(tmp_path):
    expected = left_alone(tmp_path)
    interrupted(make_run(tmp_path / "cut", stop_at=33))
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "cut" / "run-0001", tmp_path / "elsewhere" / "my-run")
    optimizer = make_run(tmp_path / "third", agent=LinearAgent(init_seed=8), seed=None)
    result = optimizer.run(resume=tmp_path / "elsewhere" / "my-run")
    assert_same(outcome_of(optimizer, result), expected)
    assert list((tmp_path / "third").iterdir()) == []


def test_the_second_run_of_one_optimizer(tmp_path):
    first = make_run(tmp_path / "left-alone")
    first.run()
    expected = outcome_of(first, first.run())
    second = make_run(tmp_path / "cut", stop_at=70)
    second.run()
    interrupted(second)
    optimizer, result = resumed(tmp_path / "cut")
    assert_same(outcome_of(optimizer, result), expected)


class TestSnapshots:
    def test_later_ones_are_made_again_under_their_own_numbers(self, tmp_path):
        """Whatever was crowned after the checkpoint is crowned again; nothing is doubled or renumbered."""
        expected = left_alone(tmp_path, max_snapshots=50)
        interrupted(make_run(tmp_path / "cut", stop_at=45, max_snapshots=50))
        run = tmp_path / "cut" / "run-0001"
        for slot in ("a", "b"):  # go far back
            if slot_window(run / "checkpoint" / slot) == max(slot_window(s) for s in (run / "checkpoint").iterdir()):
                shutil.rmtree(run / "checkpoint" / slot)
        optimizer, result = resumed(tmp_path / "cut", max_snapshots=50)
        assert_same(outcome_of(optimizer, result), expected)

    def test_a_champion_that_was_pruned_since_comes_back_under_its_own_number(self, tmp_path):
        expected = left_alone(tmp_path, max_snapshots=1)
        interrupted(make_run(tmp_path / "cut", stop_at=33, max_snapshots=1))
        for snapshot in (tmp_path / "cut" / "run-0001").glob("snapshot_*"):
            shutil.rmtree(snapshot)
        optimizer, result = resumed(tmp_path / "cut", max_snapshots=1)
        assert_same(outcome_of(optimizer, result), expected)

    def test_a_champion_that_was_damaged_is_written_anew(self, tmp_path, caplog):
        expected = left_alone(tmp_path)
        interrupted(make_run(tmp_path / "cut", stop_at=33))
        for weights in (tmp_path / "cut" / "run-0001").glob("snapshot_*/weights/state.safetensors"):
            weights.write_bytes(b"")
        optimizer, result = resumed(tmp_path / "cut")
        assert "is not used" in caplog.text
        assert_same(outcome_of(optimizer, result), {k: v for k, v in expected.items() if k != "snapshots"})


def slot_window(slot):
    return read_sealed_json(slot / "loop.json")["loop"]["parts"]["recorder"]["state"]["num_rows"]


class TestSaving:
    def test_what_is_taken_is_not_what_goes_on(self, tmp_path, monkeypatch):
        """The thread may write long after the loop went on: it must write what was."""
        import threading

        from tensor_optix.core.storage import checkpoint_slots

        may_go, held = threading.Event(), []
        real = checkpoint_slots.write_agent_state

        def slow(path, state, **arguments):
            if path.parts[-3] == "checkpoint":
                held.append({name: array.copy() for name, array in state.arrays.items()})
                may_go.wait(0.05)
                for name, array in state.arrays.items():
                    np.testing.assert_array_equal(array, held[-1][name])
            return real(path, state, **arguments)

        monkeypatch.setattr(checkpoint_slots, "write_agent_state", slow)
        result = make_run(tmp_path).run()
        assert len(held) > 2
        assert other_notes(result) == ()

    def test_the_clock_decides_what_is_saved_and_nothing_else(self, tmp_path, monkeypatch):
        expected = left_alone(tmp_path)
        monkeypatch.undo()
        monkeypatch.setattr(run_checkpoint, "SAVE_INTERVAL_SECONDS", 1e9)
        optimizer = make_run(tmp_path / "rarely")
        assert_same(outcome_of(optimizer, optimizer.run()), expected)
        slots = (tmp_path / "rarely" / "run-0001" / "checkpoint").iterdir()
        assert sorted(slot_window(slot) for slot in slots) == [0, 50]  # the start, and the last barrier before the end

    @pytest.mark.parametrize("is_slow", [False, True])
    def test_more_than_a_minute_at_stake_is_said(self, tmp_path, monkeypatch, caplog, is_slow):
        monkeypatch.setattr(run_checkpoint, "SAVE_INTERVAL_SECONDS", 0.0)
        monkeypatch.setattr(run_checkpoint, "MAX_LOSS_SECONDS", 1e-6)
        monkeypatch.setattr(run_checkpoint, "MAX_COST", 1e-9 if is_slow else 1e9)
        optimizer = make_run(tmp_path)
        monkeypatch.setattr(run_checkpoint.RunCheckpoint, "save_if_due", run_checkpoint.RunCheckpoint.save)
        optimizer.run()
        assert caplog.text.count("A crash can cost this run more than a minute") == 1
        assert ("saving may take" if is_slow else "BatchPipeline(barrier_interval_steps=...)") in caplog.text

    def test_an_agent_that_cannot_be_captured_is_said_and_trained(self, tmp_path, caplog):
        class Shy(LinearAgent):
            def get_state(self, scope="learner"):
                if scope == "all":
                    raise RuntimeError("no")
                return super().get_state(scope)

        with caplog.at_level(logging.ERROR):
            result = make_run(tmp_path, agent=Shy()).run()
        assert result.reason == "budget"
        assert any("could not be saved" in note for note in result.notes)
        assert "training goes on in memory" in caplog.text

    def test_states_are_whole_in_both_slots(self, tmp_path):
        make_run(tmp_path).run()
        slots = sorted((tmp_path / "run-0001" / "checkpoint").iterdir())
        assert [slot.name for slot in slots] == ["a", "b"]
        assert all((slot / "agent" / META_FILE).is_file() and (slot / "champion").is_dir() for slot in slots)
