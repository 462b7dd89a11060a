"""What waits for a free environment: booked, and worked off in its order."""

from types import SimpleNamespace

import pytest

from tensor_optix.core.loop.agenda import Activity, Agenda
from tensor_optix.core.types import EvalMetrics
from tensor_optix.testing.fakes import ScriptedPipeline

AT_BARRIER, RUNNING = SimpleNamespace(metadata={"barrier": True}), SimpleNamespace(metadata={})
METRICS = EvalMetrics(1.0, {}, 0)


class Barriers(ScriptedPipeline):
    def __init__(self, has_barriers=True):
        super().__init__([])
        self.has_barriers, self.num_requests = has_barriers, 0

    def request_barrier(self):
        self.num_requests += 1
        return self.has_barriers


def agenda_of(*, can_play=True, has_barriers=True, needs_barrier=True):
    pipeline, done = Barriers(has_barriers), []
    agenda = Agenda(SimpleNamespace(is_possible=can_play), pipeline, needs_barrier=needs_barrier)

    def does(name):
        return lambda metrics: done.append(name)

    agenda.activities = (
        Activity("first", does("first")),
        Activity("regular", does("regular"), is_regular=True, unless="first"),
        Activity("last", does("last")),
    )
    return agenda, pipeline, done


def test_what_is_asked_for_is_done_once_at_the_next_barrier_in_the_agendas_order():
    agenda, pipeline, done = agenda_of()
    assert agenda.ask("last")
    assert agenda.ask("first")
    agenda.work_off(RUNNING, METRICS)
    assert done == []
    agenda.work_off(AT_BARRIER, METRICS)
    assert done == ["first", "last"]
    agenda.work_off(AT_BARRIER, METRICS)
    assert done == ["first", "last", "regular"], "what is regular makes way only once"
    assert pipeline.num_requests == 2


def test_an_environment_of_its_own_is_free_after_any_window():
    agenda, pipeline, done = agenda_of(needs_barrier=False, has_barriers=False)
    agenda.work_off(RUNNING, METRICS)
    assert agenda.ask("last")
    agenda.work_off(RUNNING, METRICS)
    assert done == ["regular", "last"]
    assert pipeline.num_requests == 0


@pytest.mark.parametrize("missing", [{"can_play": False}, {"has_barriers": False}])
def test_where_nothing_can_be_played_nothing_is_booked(missing):
    agenda, _, done = agenda_of(**missing)
    assert not agenda.ask("first")
    agenda.work_off(AT_BARRIER, METRICS)
    assert done == ["regular"]


def test_what_is_asked_for_meanwhile_waits_for_the_next_time():
    agenda, _, done = agenda_of()
    agenda.activities = (Activity("first", lambda metrics: (done.append("first"), agenda.ask("first"))),)
    agenda.ask("first")
    agenda.work_off(AT_BARRIER, METRICS)
    assert done == ["first"]
    agenda.work_off(AT_BARRIER, METRICS)
    assert done == ["first", "first"]


def test_a_resumed_run_asks_again():
    agenda, _, _ = agenda_of()
    agenda.ask("last")
    resumed, pipeline, done = agenda_of()
    resumed.load_state_dict(agenda.state_dict())
    assert pipeline.num_requests == 1
    resumed.work_off(AT_BARRIER, METRICS)
    assert done == ["regular", "last"]
