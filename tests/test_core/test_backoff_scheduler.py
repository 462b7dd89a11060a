import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix import BackoffScheduler, LoopState


def test_starts_active_with_no_best():
    scheduler = BackoffScheduler()
    assert scheduler.current_state is LoopState.ACTIVE
    assert (scheduler.current_interval, scheduler.consecutive_non_improvements, scheduler.best_score) == (1, 0, None)


def test_interval_grows_by_the_factor_and_is_capped():
    scheduler = BackoffScheduler(base_interval=3, backoff_factor=1.5, max_interval_episodes=8)
    seen = []
    for _ in range(4):
        scheduler.record_non_improvement()
        seen.append(scheduler.current_interval)
    assert seen == [4, 6, 8, 8]


def test_states_follow_the_count():
    scheduler = BackoffScheduler(plateau_threshold=2, dormant_threshold=4)
    seen = []
    for _ in range(5):
        scheduler.record_non_improvement()
        seen.append(scheduler.current_state)
    cooling, dormant = LoopState.COOLING, LoopState.DORMANT
    assert seen == [LoopState.ACTIVE, cooling, cooling, dormant, dormant]


@pytest.mark.parametrize("event", ["record_improvement", "record_degradation"])
def test_improvement_and_degradation_start_again(event):
    scheduler = BackoffScheduler(base_interval=2, plateau_threshold=1, dormant_threshold=2)
    scheduler.record_improvement(5.0)
    scheduler.record_non_improvement()
    scheduler.record_non_improvement()
    assert scheduler.current_state is LoopState.DORMANT
    scheduler.record_improvement(1.0) if event == "record_improvement" else scheduler.record_degradation()
    assert scheduler.current_state is LoopState.ACTIVE
    assert (scheduler.current_interval, scheduler.consecutive_non_improvements) == (2, 0)
    assert scheduler.best_score == 5.0


def test_watch_and_void_best():
    scheduler = BackoffScheduler()
    scheduler.record_improvement(5.0)
    scheduler.record_watch()
    scheduler.void_best()
    assert scheduler.current_state is LoopState.WATCHDOG
    assert scheduler.best_score is None


@pytest.mark.parametrize(
    ("best", "score", "expected"),
    [(100.0, 94.9, True), (100.0, 95.0, False), (-100.0, -105.1, True), (-100.0, -104.9, False), (0.0, -0.1, True)],
)
def test_check_degradation_is_a_share_of_the_best(best, score, expected):
    scheduler = BackoffScheduler(degradation_threshold=0.95)
    assert scheduler.check_degradation(-1e9) is False
    scheduler.record_improvement(best)
    assert scheduler.check_degradation(score) is expected
    assert scheduler.consecutive_non_improvements == 0


def test_should_adapt_at_zero_and_at_multiples():
    scheduler = BackoffScheduler(base_interval=3)
    assert [n for n in range(10) if scheduler.should_adapt(n)] == [0, 3, 6, 9]


@given(st.lists(st.sampled_from(["up", "flat", "down"]), max_size=60), st.integers(1, 5), st.integers(0, 10))
def test_state_dict_round_trip_goes_on_alike(events, plateau, extra):
    def play(scheduler, moves):
        for number, move in enumerate(moves):
            if move == "up":
                scheduler.record_improvement(float(number))
            elif move == "flat":
                scheduler.record_non_improvement()
            else:
                scheduler.record_degradation()

    first = BackoffScheduler(plateau_threshold=plateau, dormant_threshold=plateau + extra)
    play(first, events)
    second = BackoffScheduler(plateau_threshold=plateau, dormant_threshold=plateau + extra)
    second.load_state_dict(first.state_dict())
    play(first, events)
    play(second, events)
    assert second.state_dict() == first.state_dict()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"base_interval": 0}, "`base_interval` must be an integer >= 1. Received: 0"),
        ({"base_interval": 1.5}, "`base_interval` must be an integer"),
        ({"base_interval": True}, "Received: True of type bool"),
        ({"backoff_factor": 0.5}, "`backoff_factor` must be finite, >= 1.0. Received: 0.5"),
        ({"backoff_factor": float("nan")}, "`backoff_factor` must be finite"),
        ({"backoff_factor": "2"}, "`backoff_factor` must be a number"),
        ({"max_interval_episodes": 0}, "`max_interval_episodes` must be an integer >= 1"),
        ({"base_interval": 5, "max_interval_episodes": 4}, "must be at least `base_interval`"),
        ({"plateau_threshold": 0}, "`plateau_threshold` must be an integer >= 1"),
        ({"dormant_threshold": 0}, "`dormant_threshold` must be an integer >= 1"),
        ({"plateau_threshold": 5, "dormant_threshold": 4}, "COOLING comes before DORMANT"),
        ({"degradation_threshold": 0.0}, "`degradation_threshold` must be finite, > 0.0 and <= 1.0"),
        ({"degradation_threshold": 1.1}, "`degradation_threshold` must be finite"),
    ],
)
def test_bad_arguments_say_what_came_and_what_was_expected(arguments, match):
    with pytest.raises((ValueError, TypeError), match=match):
        BackoffScheduler(**arguments)
