"""What `on_decision` tells: challenges, causes, rollbacks, trials and undone updates, each as it comes."""

import numpy as np
import pytest
from loop_fakes import Learner, damage_at, make_loop, make_playing_loop

from tensor_optix import HyperparamSet, LoopCallback
from tensor_optix.exceptions import NonFiniteError
from tensor_optix.testing.fakes import StatefulAgent


class Decisions(LoopCallback):
    def __init__(self):
        self.seen = []

    def on_decision(self, kind, facts):
        self.seen.append((kind, dict(facts)))

    def of(self, kind):
        return [facts for seen, facts in self.seen if seen == kind]


@pytest.fixture
def decisions():
    return Decisions()


def test_a_damaged_policy_is_named_and_rolled_back(tmp_path, decisions):
    agent = Learner()
    script = damage_at(agent, 60, np.random.default_rng(3))
    loop, _, _ = make_playing_loop(tmp_path, agent, script, rollback_on_degradation=True, max_episodes=75)
    loop.callbacks.listen(decisions)
    loop.run()
    kinds = [kind for kind, _ in decisions.seen]
    assert decisions.of("cause")[0] == {"cause": "policy damaged"}
    assert kinds.index("rollback") == kinds.index("cause") + 1


def test_a_false_alarm_is_named_and_nothing_rolled_back(tmp_path, decisions):
    agent, rng = Learner(ceiling=1000.0), np.random.default_rng(3)
    script = lambda k: (5.0 if 60 <= k < 64 else agent.skill) + 0.3 * rng.normal()  # noqa: E731
    loop, _, _ = make_playing_loop(tmp_path, agent, script, rollback_on_degradation=True, max_episodes=90)
    loop.callbacks.listen(decisions)
    loop.run()
    assert decisions.of("cause") == [{"cause": "false alarm"}]
    assert decisions.of("rollback") == []


def test_a_trial_is_told_with_its_hyperparameters_and_its_end(tmp_path, decisions):
    agent = Learner()
    agent.bold = HyperparamSet({"x": 9.0}, 0)
    loop, _, _ = make_playing_loop(tmp_path, agent, max_episodes=1500)
    loop.callbacks.listen(decisions)
    assert loop.run().reason == "trained"
    assert decisions.of("trial")[0] == {"hyperparams": {"x": 9.0}}
    assert decisions.of("trial over")[-1] == {"is_kept": False}
    assert len(decisions.of("trial")) == len(decisions.of("trial over"))


def test_a_challenge_is_told_with_what_both_played(tmp_path, decisions):
    agent, rng = Learner(ceiling=30.0), np.random.default_rng(4)
    script = lambda k: agent.skill + (50.0 if 10 <= k < 13 else 0.0) + 0.3 * rng.normal()  # noqa: E731
    loop, _, _ = make_playing_loop(tmp_path, agent, script, barrier_every=10, max_episodes=100)
    loop.callbacks.listen(decisions)
    loop.run()
    for facts in decisions.of("challenge"):
        assert facts["episodes"] > 0
        assert facts["is_won"] is False or facts["challenger"] > facts["champion"]
    assert any(facts["is_won"] for facts in decisions.of("challenge"))


def test_an_undone_update_is_told_with_what_was_wrong(tmp_path, decisions):
    class Diverging(StatefulAgent):
        def learn(self, episode_data):
            if episode_data.episode_id == 2:
                raise NonFiniteError("a gradient is NaN")
            return super().learn(episode_data)

    loop, _ = make_loop(tmp_path, [3.0, 6.0, 9.0, 12.0], Diverging())
    loop.callbacks.listen(decisions)
    loop.run()
    assert decisions.of("undone") == [{"window": 2, "problem": "a gradient is NaN"}]
