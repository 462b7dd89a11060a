"""What a pipeline with four methods has of the others: nothing that it was not asked for."""

import pytest

from tensor_optix import BasePipeline
from tensor_optix.testing.fakes import ScriptedPipeline, SixMethodAgent


def test_one_without_all_four_cannot_be_made():
    class ThreeMethods(BasePipeline):
        setup = episodes = teardown = lambda *_: None

    with pytest.raises(TypeError, match="is_live"):
        ThreeMethods()


def test_it_takes_an_agent_and_can_neither_cut_nor_play():
    pipeline, agent = ScriptedPipeline([1.0]), SixMethodAgent()
    pipeline.set_agent(agent)
    assert pipeline.agent is agent
    assert pipeline.request_barrier() is False
    assert pipeline.play_episodes(agent.act, 3, seed=0) is None
    assert pipeline.describe_environment() == {}


def test_what_it_is_told_of_itself_stays_with_it():
    pipeline = ScriptedPipeline([1.0])
    pipeline.set_agent(SixMethodAgent())
    assert ScriptedPipeline([1.0]).agent is None
