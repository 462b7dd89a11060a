"""What the loop is given: checked, and made complete once."""

import numpy as np
import pytest
from loop_fakes import BareAgent, NoTuning

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.loop.entrance import by_class, complete_parts, with_state
from tensor_optix.core.loop_controller import LoopController
from tensor_optix.core.storage.run_folder import RunFolder
from tensor_optix.core.types import EpisodeData, EvalMetrics, HyperparamSet
from tensor_optix.exceptions import InvalidTypeError
from tensor_optix.testing.fakes import RecordingCallback, RewardEvaluator, ScriptedPipeline, SixMethodAgent


class BarePipeline:
    """Setup, episodes, teardown, is_live; and the rising scores 0, 1, 2, ..."""

    is_live = False

    def __init__(self):
        self.calls = []

    def setup(self):
        self.calls.append("setup")

    def teardown(self):
        self.calls.append("teardown")

    def episodes(self):
        for k in range(1_000):
            flags = np.array([False])
            yield EpisodeData(np.zeros((1, 1)), np.zeros(1), np.array([float(k)]), flags, flags, [{}], k)


class BareEvaluator:
    """Scores, and leaves comparing to others."""

    def score(self, window, diagnostics):
        return EvalMetrics(window.total_reward, dict(diagnostics), window.episode_id)


class BareTuner:
    """What a hyperparameter optimizer must have: it makes the rate larger every time."""

    def __init__(self):
        self.told = []

    def suggest(self, hyperparams, history):
        return HyperparamSet({"rate": hyperparams.params["rate"] + 1.0}, 0)

    def on_improvement(self, metrics):
        self.told.append(metrics.primary_score)

    def on_plateau(self, history):
        pass


class HasState:
    def state_dict(self):
        return {"seen": 3}

    def load_state_dict(self, state):
        self.loaded = state


def bare_run(tmp_path, **parts):
    given = {"agent": BareAgent(), "evaluator": BareEvaluator(), "optimizer": BareTuner(), "pipeline": BarePipeline()}
    given |= parts
    folder = RunFolder.create(tmp_path)
    loop = LoopController(
        **given,
        checkpoint_registry=CheckpointRegistry(str(folder.path)),
        backoff_scheduler=BackoffScheduler(),
        max_episodes=6,
        seed=0,
        run_folder=folder,
    )
    with folder:
        return given, loop.run()


def test_parts_that_derive_from_nothing_run(tmp_path):
    recorder = RecordingCallback()
    given, result = bare_run(tmp_path, callbacks=[recorder])
    assert (result.reason, result.windows, result.champion.eval_metrics.primary_score) == ("budget", 6, 5.0)
    assert given["agent"].weight == 5.0, "it holds the champion: the policy of the last window"
    assert given["pipeline"].calls == ["setup", "teardown"]
    assert (given["optimizer"].told[0], given["optimizer"].told[-1]) == (0.0, 5.0)
    assert recorder.count("on_hyperparam_update") >= 5


def test_a_pipeline_that_acts_with_the_very_agent_that_learns_is_taken(tmp_path):
    agent, pipeline = BareAgent(), BarePipeline()
    pipeline.agent = agent
    _, result = bare_run(tmp_path, agent=agent, pipeline=pipeline)
    assert result.windows == 6


def test_every_part_is_what_its_interface_says():
    agent, evaluator, tuner, pipeline = complete_parts(BareAgent(), BareEvaluator(), BareTuner(), BarePipeline())
    assert isinstance(agent, BaseAgent)
    assert agent.caveats() == ()
    assert evaluator.compare(EvalMetrics(2.0, {}, 0), EvalMetrics(1.0, {}, 0))
    assert list(tuner.pop_decisions()) == []
    assert pipeline.play_episodes(agent.act, 3, seed=0) is None


def test_what_derives_from_ours_is_left_as_it_is():
    given = (SixMethodAgent(), RewardEvaluator(), NoTuning(), ScriptedPipeline([1.0]))
    assert all(part is own for part, own in zip(complete_parts(*given), given, strict=True))


@pytest.mark.parametrize(
    ("name", "part", "message"),
    [
        ("agent", BarePipeline(), "`agent` must have the methods .* It lacks act, learn.* Derive it from BaseAgent"),
        ("agent", BareAgent, r"`agent` .* Give an object of the class: BareAgent\(\.\.\.\)"),
        ("evaluator", BareAgent(), "`evaluator` must have the method score.* Derive it from BaseEvaluator"),
        ("optimizer", BareAgent(), "`optimizer` .* It lacks suggest, on_improvement, on_plateau"),
        ("pipeline", BareAgent(), "`pipeline` .* It lacks setup, episodes, teardown"),
    ],
)
def test_what_has_no_default_must_be_there(name, part, message):
    given = {"agent": BareAgent(), "evaluator": BareEvaluator(), "optimizer": BareTuner(), "pipeline": BarePipeline()}
    with pytest.raises(InvalidTypeError, match=message):
        complete_parts(**{**given, name: part})


def test_a_pipeline_says_whether_it_is_live():
    class Silent(BarePipeline):
        is_live = property()

    with pytest.raises(InvalidTypeError, match="`pipeline` must say whether it is live"):
        complete_parts(BareAgent(), BareEvaluator(), BareTuner(), Silent())


def test_a_state_is_kept_of_what_has_one():
    part = HasState()
    state = with_state(part)
    assert (state.state_dict(), list(state.not_saved), list(state.not_restored)) == ({"seen": 3}, [], [])
    state.load_state_dict({"seen": 4})
    assert part.loaded == {"seen": 4}
    assert with_state(BareTuner()) is None


def test_several_of_a_class_are_told_apart_by_number():
    first, second = HasState(), HasState()
    named = by_class([first, BareTuner(), second])
    assert list(named) == ["HasState", "HasState 2"]
    named["HasState 2"].load_state_dict("of the second")
    assert (second.loaded, hasattr(first, "loaded")) == ("of the second", False)
