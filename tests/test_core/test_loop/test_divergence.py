"""Updates that give NaN, in the real loop: undone, counted, softened, and given up in the end."""

import json
import math

import numpy as np
import pytest
from loop_fakes import NoTuning, make_loop

from tensor_optix import BackoffScheduler, CheckpointRegistry, LoopController
from tensor_optix.core.loop.divergence import PATIENCE_UPDATES
from tensor_optix.exceptions import NonFiniteError
from tensor_optix.testing.fakes import (
    RecordingCallback,
    RewardEvaluator,
    ScriptedPipeline,
    SixMethodAgent,
    StatefulAgent,
)


class Diverges:
    """Goes wrong in the windows of ``bad``; an honest one raises, others return NaN or break silently."""

    def __init__(self, bad, how):
        super().__init__({"learning_rate": 1.0})
        self.bad, self.how = set(bad), how
        self.num_softened = 0

    def learn(self, episode_data):
        if episode_data.episode_id not in self.bad:
            return super().learn(episode_data)
        if self.how == "raises":
            raise NonFiniteError("a gradient is NaN")
        super().learn(episode_data)
        if self.how == "weights":
            self.weight = math.inf
            return {"entropy": 1.0}
        return {self.how: math.nan}

    def on_divergence(self):
        self.num_softened += 1
        self.hyperparams.params["learning_rate"] /= 2


class Stateful(Diverges, StatefulAgent):
    pass


class SixMethod(Diverges, SixMethodAgent):
    pass


def run(tmp_path, agent, num_windows=20, scores=None, optimizer=None):
    recorder = RecordingCallback()
    loop = LoopController(
        agent,
        RewardEvaluator(),
        optimizer or NoTuning(),
        scores or ScriptedPipeline([float(k % 3) for k in range(num_windows)]),
        CheckpointRegistry(str(tmp_path / "run")),
        BackoffScheduler(plateau_threshold=100, dormant_threshold=200),
        callbacks=[recorder],
        max_episodes=num_windows,
        seed=0,
    )
    weights = []
    recorder.on_episode_end = lambda *_: weights.append(agent.weight)
    try:
        return loop.run(), weights, recorder
    except NonFiniteError as error:
        return error, weights, recorder, loop


@pytest.mark.parametrize("how", ["raises", "loss", "policy_loss", "grad_norm", "weights"])
class TestUndone:
    def test_the_agent_is_as_it_was_and_goes_on(self, tmp_path, how):
        agent = Stateful({4, 9}, how)
        result, weights, _ = run(tmp_path, agent)
        # twenty windows, the last of which may still be learned from; two updates never happened
        assert weights[3] == weights[4]
        assert weights[8] == weights[9]
        assert np.all(np.isfinite(weights))
        assert weights[12] - weights[9] == 3.0
        assert agent.num_softened == 2
        assert any("2 updates gave NaN or infinity and were undone" in note for note in result.notes)

    def test_it_is_counted_in_the_history(self, tmp_path, how):
        result, _, _ = run(tmp_path, Stateful({4, 9}, how))
        assert result.history["undone_updates"][4] == 1.0
        assert result.history["undone_updates"][9] == 2.0
        assert result.history["undone_updates"][5] is None

    def test_the_softer_hyperparameters_are_announced_and_kept(self, tmp_path, how):
        agent = Stateful({4}, how)
        _, _, recorder = run(tmp_path, agent)
        softened, handed_back = recorder.arguments("on_hyperparam_update")
        assert softened == ({"learning_rate": 1.0}, {"learning_rate": 0.5})
        assert handed_back == ({"learning_rate": 0.5}, {"learning_rate": 1.0}), "at the end the champion comes back"

    def test_the_next_score_is_credited_to_what_made_the_weights(self, tmp_path, how):
        tuner = NoTuning()
        run(tmp_path, Stateful({4}, how), optimizer=tuner)
        rates = [metrics.hyperparams.params["learning_rate"] for metrics in tuner.history]
        assert rates[:7] == [1.0] * 6 + [0.5]  # window 5 still acted with the weights of window 3's update

    def test_after_several_in_a_row_it_goes_back_to_the_champion(self, tmp_path, how):
        agent = Stateful(range(10, 10 + PATIENCE_UPDATES), how)
        result, weights, _ = run(tmp_path, agent, num_windows=30)
        # the first window's policy, which had learned nothing, is champion: its scores were as good as any
        assert weights[10 + PATIENCE_UPDATES - 1] == 0.0
        assert weights[10 + PATIENCE_UPDATES] == 1.0
        assert any("the champion was brought back 1 times" in note for note in result.notes)

    def test_after_that_it_ends_and_says_why(self, tmp_path, how):
        agent = Stateful(range(10, 99), how)
        error, weights, _, loop = run(tmp_path, agent, num_windows=40)
        assert len(weights) == 10 + 2 * PATIENCE_UPDATES - 1
        assert "10 updates in a row gave NaN or infinity, 5 of them from the champion on" in str(error)
        assert loop.last_result.reason == "error"
        assert np.isfinite(agent.weight)

    def test_one_good_update_starts_the_count_anew(self, tmp_path, how):
        bad = [k for k in range(5, 40) if k % PATIENCE_UPDATES]
        result, _, _ = run(tmp_path, Stateful(bad, how), num_windows=40)
        assert result.reason == "budget"
        assert not any("brought back" in note for note in result.notes)

    def test_no_snapshot_ever_holds_it(self, tmp_path, how):
        agent = Stateful({3, 7, 8}, how)
        run(tmp_path, agent, scores=ScriptedPipeline(lambda k: 5.0 * k), num_windows=15)
        registry = CheckpointRegistry(tmp_path / "run", read_only=True)
        states = [registry.load_state(snapshot.snapshot_id) for snapshot in registry.snapshots]
        assert states
        assert all(np.isfinite(state.arrays["weight"]) for state in states)


class TestSixMethods:
    def test_silent_nan_brings_back_the_champion_at_once(self, tmp_path):
        agent = SixMethod({6}, "loss")
        result, weights, _ = run(tmp_path, agent)
        assert weights[6] < weights[5]
        assert weights[7] == weights[6] + 1
        assert any("the champion was brought back 1 times" in note for note in result.notes)

    def test_one_that_raises_is_taken_at_its_word(self, tmp_path):
        result, weights, _ = run(tmp_path, SixMethod({6}, "raises"))
        assert weights[6] == weights[5]
        assert result.reason == "budget"

    def test_before_there_is_a_champion_it_cannot_go_on(self, tmp_path):
        scores = ScriptedPipeline([math.nan] * 10)
        error, *_ = run(tmp_path, SixMethod({2}, "loss"), scores=scores, num_windows=10)
        assert "diverged before there was a champion to go back to" in str(error)


def test_numbers_that_are_no_loss_may_be_nan(tmp_path):
    agent = Stateful({4}, "explained_variance")
    result, weights, _ = run(tmp_path, agent)
    assert weights[4] == weights[3] + 1
    assert result.notes == ()


def test_what_was_never_finite_is_no_divergence(tmp_path):
    class Bounds(StatefulAgent):
        def get_state(self, scope="learner"):
            state = super().get_state(scope)
            state.arrays["lowest_seen"] = np.array([np.inf])
            return state

    result, weights, _ = run(tmp_path, Bounds({}))
    assert weights[5] == 6.0
    assert result.notes == ()


def test_an_agent_that_undoes_by_itself_is_not_copied(tmp_path):
    class Own(Stateful):
        undoes_bad_updates = True
        num_copies = 0

        def get_state(self, scope="learner"):
            type(self).num_copies += 1
            return super().get_state(scope)

    run(tmp_path, Own({4}, "raises"), scores=ScriptedPipeline([1.0] * 20))
    assert Own.num_copies < 10


def test_the_hyperparameters_in_force_survive_the_way_back_to_the_champion(tmp_path):
    seen = []

    class Watched(Stateful):
        def learn(self, episode_data):
            seen.append(self.hyperparams.params["learning_rate"])
            return super().learn(episode_data)

    run(tmp_path, Watched(range(5, 5 + PATIENCE_UPDATES), "loss"))
    assert seen[5 : 5 + PATIENCE_UPDATES + 1] == [0.5**k for k in range(PATIENCE_UPDATES + 1)]


def test_the_champions_scores_are_credited_to_what_made_it_not_to_the_softer_settings(tmp_path):
    tuner = NoTuning()
    agent = Stateful(range(10, 10 + PATIENCE_UPDATES), "loss")
    _, weights, _ = run(tmp_path, agent, num_windows=18, optimizer=tuner)
    assert weights[10 + PATIENCE_UPDATES - 1] == 0.0, "the champion was brought back"
    by_window = {metrics.episode_id: metrics.hyperparams.params["learning_rate"] for metrics in tuner.history}
    assert by_window[10 + PATIENCE_UPDATES] == 1.0
    assert by_window[10 + PATIENCE_UPDATES + 1] == 0.5**PATIENCE_UPDATES


def test_the_counts_are_part_of_the_state(tmp_path):
    """Another loop takes over two updates before patience ends."""
    num_before = PATIENCE_UPDATES - 2
    one, _ = make_loop(tmp_path / "one", [1.0] * 9, Stateful(range(9 - num_before, 9), "raises"))
    assert f"{num_before} updates gave NaN or infinity and were undone; last" in one.run().notes[0]
    other, _ = make_loop(tmp_path / "other", [1.0] * 3, Stateful({0, 1}, "raises"))
    other.parts.guard.load_state_dict(json.loads(json.dumps(one.parts.guard.state_dict())))
    note = other.run().notes[0]
    assert f"{PATIENCE_UPDATES} updates gave NaN or infinity and were undone; the champion was brought back" in note
