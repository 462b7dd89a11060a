"""What the tests of feeds share."""

import pytest
from live_fakes import PolicyAgent, feed_threads

from tensor_optix.pipeline.live import reconnect
from tensor_optix.pipeline.live_pipeline import LivePipeline


@pytest.fixture
def no_thread_left():
    """Whatever happens, no thread follows a feed afterwards."""
    yield
    assert not feed_threads()


@pytest.fixture
def short_waits(monkeypatch):
    monkeypatch.setattr(reconnect, "FIRST_WAIT_SECONDS", 1e-4)


@pytest.fixture
def live(no_thread_left, short_waits):
    """Make pipelines that are torn down whatever happens."""
    made = []

    def make(source, agent=None, **options):
        made.append(LivePipeline(source, agent or PolicyAgent(), **options))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.teardown()
