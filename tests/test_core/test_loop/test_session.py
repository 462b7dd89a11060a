"""How a run begins: with what it goes on from, what it says of that, and what it refuses."""

import shutil
from pathlib import Path

import gymnasium as gym
import pytest
from resume_fakes import (
    LinearAgent,
    Scores,
    SixMethods,
    assert_same,
    interrupted,
    left_alone,
    make_run,
    other_notes,
    outcome_of,
    resumed,
)

from tensor_optix import BackoffOptimizer, BasePipeline, BatchPipeline
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.exceptions import CheckpointError, StateMismatchError
from tensor_optix.optimizers.pbt_optimizer import PBTOptimizer

pytestmark = pytest.mark.usefixtures("save_at_every_barrier")


class TestNothingToResume:
    def test_in_an_empty_folder(self, tmp_path):
        with pytest.raises(CheckpointError, match=r"Nothing to resume: .* holds no run with a checkpoint"):
            make_run(tmp_path).run(resume=True)

    def test_a_run_that_was_cut_before_its_first_checkpoint(self, tmp_path):
        interrupted(make_run(tmp_path, stop_at=1))
        shutil.rmtree(tmp_path / "run-0001" / "checkpoint")
        with pytest.raises(CheckpointError, match=r"Nothing to resume: .*run-0001 holds no whole checkpoint"):
            make_run(tmp_path).run(resume=True)
        assert (tmp_path / "run-0001" / "history.jsonl").read_text()

    def test_an_earlier_run_does_not_take_its_place_unnamed(self, tmp_path):
        make_run(tmp_path).run()
        interrupted(make_run(tmp_path, stop_at=1))
        shutil.rmtree(tmp_path / "run-0002" / "checkpoint")
        with pytest.raises(CheckpointError, match="run-0002"):
            make_run(tmp_path).run(resume=True)

    def test_folders_in_which_nothing_ran_are_passed_over(self, tmp_path):
        expected = left_alone(tmp_path)
        interrupted(make_run(tmp_path / "cut", stop_at=33))
        unused = make_run(tmp_path / "cut")
        optimizer, result = resumed(tmp_path / "cut")
        assert Path(result.run_dir).name == "run-0001"
        assert_same(outcome_of(optimizer, result), expected)
        assert unused.run_dir.name == "run-0002"


class TestInexact:
    """What cannot be exact goes on all the same, and says why."""

    def resume_after(self, folder, then=(), **arguments):
        interrupted(make_run(folder, stop_at=33, **arguments))
        result = resumed(folder, **{**arguments, **dict(then)})[1]
        assert result.windows >= 45
        return " | ".join(other_notes(result))

    def test_other_versions(self, tmp_path):
        interrupted(make_run(tmp_path, stop_at=33))
        path = tmp_path / "run-0001" / "run.json"
        document = read_sealed_json(path)
        document["versions"]["numpy"] = "1.0"
        write_sealed_json(path, document)
        notes = other_notes(resumed(tmp_path)[1])
        assert len(notes) == 1
        assert notes[0].startswith("the run was resumed, but not exactly: numpy was 1.0, is ")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"num_cpus": 512}, "num_cpus was 512, is "),
            ({"processor": "Abacus"}, "processor was Abacus, is "),
            ({"threads": {"OMP_NUM_THREADS": "7"}}, "threads was {'OMP_NUM_THREADS': '7'}, is "),
            ({"agent_platform": {"intra_op_threads": 3}}, "agent_platform was {'intra_op_threads': 3}, is {}"),
        ],
    )
    def test_another_machine_or_thread_count(self, tmp_path, change, said):
        interrupted(make_run(tmp_path, stop_at=33))
        path = tmp_path / "run-0001" / "run.json"
        write_sealed_json(path, {**read_sealed_json(path), **change})
        result = resumed(tmp_path)[1]
        assert result.reason == "budget"
        assert len(other_notes(result)) == 1
        assert result.notes[0].startswith(f"the run was resumed, but not exactly: {said}")

    @pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{}")])
    def test_a_damaged_description_prevents_nothing(self, tmp_path, damage):
        interrupted(make_run(tmp_path, stop_at=33))
        damage(tmp_path / "run-0001" / "run.json")
        result = resumed(tmp_path)[1]
        assert "whether machine and versions are the same cannot be told" in result.notes[0]

    def test_an_agent_with_six_methods(self, tmp_path):
        notes = self.resume_after(tmp_path, agent=SixMethods(), then={"agent": SixMethods(init_seed=3)})
        assert "the agent has no get_state, so its random state and optimizer are not known" in notes

    def test_a_pipeline_without_barriers(self, tmp_path):
        class Endless(BatchPipeline):
            request_barrier = BasePipeline.request_barrier

        def pipeline(agent):
            return Endless(gym.make("CartPole-v1"), agent, 60, barrier_interval_steps=None)

        interrupted(make_run(tmp_path, stop_at=33, agent=(agent := LinearAgent()), pipeline=pipeline(agent)))
        agent = LinearAgent(init_seed=77)
        result = make_run(tmp_path, agent=agent, pipeline=pipeline(agent)).run(resume=True)
        assert result.windows >= 45
        assert "not exactly: Endless has no barriers, at which episodes begin anew" in " | ".join(result.notes)

    def test_a_tuner_without_a_state(self, tmp_path):
        class Forgetful(BackoffOptimizer):
            state_dict = property()

        notes = self.resume_after(tmp_path, optimizer=Forgetful(), then={"optimizer": Forgetful()})
        assert "the optimizer has no state_dict, so it starts afresh" in notes

    def test_another_tuner(self, tmp_path):
        notes = self.resume_after(tmp_path, then={"optimizer": PBTOptimizer({"learning_rate": (1e-4, 1.0)})})
        assert "the optimizer was BackoffOptimizer and is PBTOptimizer, so it starts afresh" in notes

    def test_a_callback_whose_state_json_does_not_have(self, tmp_path):
        class Odd(Scores):
            def state_dict(self):
                return {"seen": {1, 2}}

        notes = self.resume_after(tmp_path, callbacks=[Odd()], then={"callbacks": [Odd()]})
        assert "cannot be saved, so it starts afresh" in notes
        assert "['seen']` is of type set" in notes

    def test_a_callback_that_is_gone(self, tmp_path):
        notes = self.resume_after(tmp_path, then={"callbacks": []})
        assert "was Scores and is missing" in notes

    def test_a_callback_that_is_new(self, tmp_path):
        notes = self.resume_after(tmp_path, callbacks=[], then={"callbacks": [Scores()]})
        assert "is new, so it starts afresh" in notes


class Picky(LinearAgent):
    def set_state(self, state):
        raise ValueError("another shape")


class TestRefusals:
    def test_an_agent_of_another_shape_leaves_the_run_as_it_was(self, tmp_path):
        interrupted(make_run(tmp_path, stop_at=33))
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        optimizer = make_run(tmp_path, agent=Picky(init_seed=2))
        with pytest.raises(StateMismatchError, match=r"Picky.set_state could not take .*ValueError: another shape"):
            optimizer.run(resume=True)
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert after.keys() == before.keys()
        assert all(after[path] == before[path] for path in before if path.name != "run.owner.json")

    def test_a_second_process_is_refused(self, tmp_path):
        optimizer = make_run(tmp_path)
        optimizer.run()
        holder = make_run(tmp_path)
        with pytest.raises(CheckpointError, match="is in use by"):
            make_run(tmp_path / "other").run(resume=holder.run_dir)


class TestBeside:
    def test_a_fresh_run_in_a_used_folder_gets_a_folder_of_its_own_and_says_so(self, tmp_path, caplog):
        first = make_run(tmp_path)
        first.run()
        assert "earlier runs" not in caplog.text
        before = {path: path.read_bytes() for path in first.run_dir.rglob("*") if path.is_file()}
        second = make_run(tmp_path, seed=6)
        result = second.run()
        assert "holds earlier runs (run-0001, the latest). This one is written beside them, to run-0002" in caplog.text
        assert Path(result.run_dir).name == "run-0002"
        assert before == {path: path.read_bytes() for path in first.run_dir.rglob("*") if path.is_file()}
        assert result.champion.weights_path.startswith(result.run_dir)

    def test_whoever_goes_on_is_not_told_so(self, tmp_path, caplog):
        interrupted(make_run(tmp_path, stop_at=33))
        optimizer = make_run(tmp_path)
        optimizer.run(resume=True)
        optimizer.run()
        assert "earlier runs" not in caplog.text
