"""The score that a user asked for: claimed when it is reached, and not before."""

from loop_fakes import Learner, make_playing_loop

from tensor_optix import LoopState


def test_the_run_ends_as_soon_as_the_lower_bound_reaches_the_target(tmp_path):
    agent = Learner()
    loop, _, _ = make_playing_loop(tmp_path, agent, target_score=20.0)
    result = loop.run()
    assert result.reason == "target"
    assert result.report.mean >= 20.0
    assert agent.weight < 30


def test_a_target_out_of_reach_is_never_claimed(tmp_path):
    agent = Learner()
    loop, _, _ = make_playing_loop(tmp_path, agent, target_score=45.0)
    result = loop.run()
    assert result.reason == "trained"
    assert loop.state is LoopState.DORMANT
